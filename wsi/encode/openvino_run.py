"""A graph run by OpenVINO, on a CPU."""

import sys
import tempfile
import threading
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # it would report each import over the network
import openvino

from wsi.encode.precision import whole_layers

_LAYERS = {"Convolution", "GroupConvolution", "MatMul"}
_WITHOUT_SUMS = {"Const", "Parameter", "Result", "ShapeOf"}


class OpenVinoRun:
    """A compiled graph; each thread of the caller has one thread of OpenVINO to itself.

    precision: what it computes in; fp32 where all layers are among those that should.
    """

    def __init__(self, path: Path, *, precision: str, threads: int) -> None:
        core, whole = openvino.Core(), whole_layers(precision)
        model = _keeping(core, path, whole) if whole else path
        self.precision = "fp32" if model is None else precision
        settings = {
            "INFERENCE_PRECISION_HINT": "f32" if self.precision == "fp32" else "bf16",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": threads,
            "ENABLE_CPU_PINNING": False,  # workers would all be tied to the first cores
        }
        self._compiled = core.compile_model(model or path, "CPU", settings)
        self._own = threading.local()

    def __call__(self, images: Tensor) -> NDArray[np.float32]:
        """Return the features `(B, D)` of a group of fitted images `(B, 3, h, w)`."""
        if not hasattr(self._own, "request"):
            self._own.request = self._compiled.create_infer_request()
        tiles = images.permute(0, 2, 3, 1).contiguous().numpy()  # (B, h, w, 3)
        features: NDArray[np.float32] = self._own.request.infer([tiles])[0].copy()  # (B, D)
        return features


def _keeping(core: openvino.Core, path: Path, whole: int) -> openvino.Model | None:
    """Return a graph that asks for float32 in its first layers, which OpenVINO's own format can say and ONNX can't.

    None where it has no others.
    """
    with tempfile.TemporaryDirectory(prefix="wsi-run-") as folder:
        told, weights = Path(folder) / "graph.xml", Path(folder) / "graph.bin"
        openvino.save_model(core.read_model(path), told, compress_to_fp16=False)
        tree = ElementTree.parse(told)  # noqa: S314  # written the line before
        count = 0
        for layer in tree.iterfind("layers/layer"):  # in the order in which they are computed
            count += layer.get("type") in _LAYERS
            if count > whole:
                return core.read_model(ElementTree.tostring(tree.getroot()), weights.read_bytes())
            if layer.get("type") not in _WITHOUT_SUMS:
                about = layer.find("rt_info")
                about = ElementTree.SubElement(layer, "rt_info") if about is None else about
                ElementTree.SubElement(about, "attribute", {"name": "precise", "version": "0"})
    return None


def has_bf16() -> bool:
    """Return whether OpenVINO multiplies bf16 on this processor."""
    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
