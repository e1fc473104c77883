"""A graph run by ONNX Runtime, on a CPU, in fp32."""

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from torch import Tensor


class OnnxRuntimeRun:
    """A graph that each thread of the caller runs by itself."""

    precision = "fp32"

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name

    def __call__(self, images: Tensor) -> NDArray[np.float32]:
        """Return the features `(B, D)` of a group of fitted images `(B, 3, h, w)`."""
        tiles = images.permute(0, 2, 3, 1).contiguous().numpy()  # (B, h, w, 3)
        features: NDArray[np.float32] = self._session.run(None, {self._input: tiles})[0]  # (B, D)
        return features
