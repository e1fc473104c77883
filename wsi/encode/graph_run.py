"""What runs a graph, in the lowest precision that keeps the features."""

import logging

from wsi.card import EncoderCard
from wsi.encode.backends import Backend
from wsi.encode.encoder import Run
from wsi.encode.graph import Graph
from wsi.encode.precision import LEAST_COSINE, LOWER, fitted_probes, least_cosine
from wsi.errors import ModelError, UsageError

_log = logging.getLogger(__name__)


def run_graph(graph: Graph, card: EncoderCard, backend: Backend, *, precision: str, threads: int) -> Run:
    """Return what runs a graph.

    Features of the drawn probes are compared with torch's in fp32 each time. One precision that was asked for is taken
    at its word; with auto, and in fp32, features that differ are not.

    Raises:
        UsageError: the processor doesn't compute in the precision that was asked for.
        ModelError: even in fp32 the features are others than torch's.
    """
    probes = fitted_probes(card.input.tile_px, card.transform)
    cosine = 0.0
    for one in _precisions(backend, precision):
        try:
            run = _make(graph, backend, one, threads)
            cosine = least_cosine(run(probes), graph.features)
        except RuntimeError as error:
            if one not in LOWER or precision != "auto":
                raise
            _log.info("%s: %s doesn't run in %s: %s", card.id, backend, one, error)
            continue
        if cosine >= LEAST_COSINE or precision not in ("auto", "fp32"):
            return run
    raise ModelError(f"{card.id}: {backend} gives other features than torch (cosine {cosine:.5f}); use --backend torch")


def _precisions(backend: Backend, asked: str) -> tuple[str, ...]:
    """Return the precisions to try, in that order."""
    if asked == "fp32" or backend == "onnxruntime":
        return ("fp32",)
    from wsi.encode.openvino_run import has_bf16

    if asked == "auto":
        return (*LOWER, "fp32") if has_bf16() else ("fp32",)
    if not has_bf16():
        raise UsageError(f"--precision {asked}: this processor doesn't compute in it; use --precision fp32 or auto")
    return (asked,)


def _make(graph: Graph, backend: Backend, precision: str, threads: int) -> Run:
    if backend == "onnxruntime":
        from wsi.encode.onnxruntime_run import OnnxRuntimeRun

        return OnnxRuntimeRun(graph.path)
    from wsi.encode.openvino_run import OpenVinoRun

    return OpenVinoRun(graph.path, precision=precision, threads=threads)
