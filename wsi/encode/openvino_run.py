"""A graph run by OpenVINO, on a CPU."""

import sys
import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # it would report each import over the network
import openvino

HINTS = {"fp32": "f32", "bf16": "bf16"}


class OpenVinoRun:
    """A compiled graph; each thread of the caller has one thread of OpenVINO to itself."""

    def __init__(self, path: Path, *, precision: str, threads: int) -> None:
        self.precision = precision
        settings = {
            "INFERENCE_PRECISION_HINT": HINTS[precision],
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": threads,
            "ENABLE_CPU_PINNING": False,  # workers would all be tied to the first cores
        }
        self._compiled = openvino.Core().compile_model(path, "CPU", settings)
        self._own = threading.local()

    def __call__(self, images: Tensor) -> NDArray[np.float32]:
        """Return the features `(B, D)` of a group of fitted images `(B, 3, h, w)`."""
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        tiles = images.permute(0, 2, 3, 1).contiguous().numpy()  # (B, h, w, 3)
        features: NDArray[np.float32] = self._own.request.infer([tiles])[0].copy()  # (B, D)
        return features


def has_bf16() -> bool:
    """Return whether OpenVINO multiplies bf16 on this processor."""
    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
