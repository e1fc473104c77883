"""A network run by torch, on any device, in the lowest precision that keeps the features."""

import contextlib
import logging
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wsi.card import EncoderCard, Transform
from wsi.encode.fuse import SAME, Layer, find_layers, fuse, halve, shared
from wsi.encode.precision import LEAST_COSINE, LOWER, cpu_has_bf16, fitted_probes, least_cosine, whole_layers
from wsi.encode.transform import normalize
from wsi.errors import ModelError

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

_UNFIT = (RuntimeError, TypeError, AttributeError, ModelError)
"""What a network raises that can't be copied or doesn't run so, and a torch or processor without such kernels."""

_log = logging.getLogger(__name__)


class TorchRun:
    """A network on its device, in its precision.

    Weights stay float32, and what needs it is computed in float32. But on a CPU a network for bf16 has such weights and
    takes such images: to cast them for every few tiles costs more than it saves.
    """

    def __init__(self, network: nn.Module, transform: Transform, *, device: torch.device, precision: str) -> None:
        self.precision = precision
        self._casts = device.type == "cpu" and precision == "bf16"
        self._network = network.to(device).to(memory_format=torch.channels_last).eval()
        self._transform = transform
        self._device = device

    def __call__(self, images: Tensor) -> NDArray[np.float32]:
        """Return the features `(B, D)` of fitted images `(B, 3, h, w)`, 0 to 255, that are on the device.

        Raises:
            ModelError: the network mixes bf16 with what it keeps in float32.
        """
        with torch.inference_mode(), self._lower():
            ready = normalize(images.float(), self._transform)
            ready = ready.to(torch.bfloat16) if self._casts else ready
            try:
                features: NDArray[np.float32] = self._network(ready).float().cpu().numpy()  # (B, D)
            except RuntimeError as error:
                if not self._casts:
                    raise
                raise ModelError(
                    f"this network doesn't run in bf16 on a CPU ({error}); use --precision fp32"
                ) from error
        return features

    @contextlib.contextmanager
    def _lower(self) -> Iterator[None]:
        dtype, contexts = DTYPES.get(self.precision, torch.float32), contextlib.ExitStack()
        with contexts:
            if self._device.type == "cuda":
                exact = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
                contexts.enter_context(exact)
            if dtype != torch.float32 and not self._casts:
                contexts.enter_context(torch.autocast(self._device.type, dtype))
            yield


def run_torch(
    network: nn.Module, card: EncoderCard, *, device: torch.device, precision: str, fused: bool = True
) -> TorchRun:
    """Return what runs a network.

    auto: on a GPU what the publishers run it in. On a CPU that has bf16, features of the drawn probes are compared with
    those in fp32 each time, and the network runs in the lowest precision that keeps them (`LEAST_COSINE`).

    Args:
        fused: whether a CPU may run the network as `wsi.encode.fuse` makes it, where that gives the same features.
    """
    if device.type != "cpu" or precision == "fp16":
        chosen = card.precision if precision == "auto" else precision
        return TorchRun(network, card.transform, device=device, precision=chosen)
    return _run_on_cpu(network.eval(), card, precision=precision, fused=fused)


def _run_on_cpu(network: nn.Module, card: EncoderCard, *, precision: str, fused: bool) -> TorchRun:
    network = network.to(memory_format=torch.channels_last)
    plain = _run(network, card, "fp32")
    if precision == "fp32" and not fused:
        return plain
    probes = fitted_probes(card.input.tile_px, card.transform)
    expected = plain(probes)
    layers = _layers(network, card, probes, expected) if fused else []
    asked = () if precision in ("auto", "fp32") else (precision,)
    for one in LOWER if precision == "auto" and cpu_has_bf16() else asked:
        if 0 < whole_layers(one) >= len(layers):
            continue  # no layer would be in bf16
        try:
            run = _lowered(network, card, layers, one)
            if asked or least_cosine(run(probes), expected) >= LEAST_COSINE:
                return run
        except _UNFIT as error:
            if asked:
                raise
            _log.info("%s doesn't run in %s: %s", card.id, one, error)
    return _run(fuse(network, layers, whole=len(layers)), card, "fp32") if layers else plain


def _layers(network: nn.Module, card: EncoderCard, probes: Tensor, expected: NDArray[np.float32]) -> list[Layer]:
    """Return the layers of a network that kernels take over; none where features would change or it can't be."""
    try:
        layers = find_layers(network, normalize(probes.float(), card.transform))
        if not layers:
            return []
        cosine = least_cosine(_run(fuse(network, layers, whole=len(layers)), card, "fp32")(probes), expected)
    except _UNFIT as error:
        _log.info("%s runs as it is: %s", card.id, error)
        return []
    if cosine >= SAME:
        return layers
    _log.info("%s runs as it is: fused, its features would have a cosine of %s", card.id, cosine)
    return []


def _lowered(network: nn.Module, card: EncoderCard, layers: list[Layer], precision: str) -> TorchRun:
    """Return what runs a network in a precision lower than fp32."""
    if layers:
        return _run(fuse(network, layers, whole=whole_layers(precision)), card, precision)
    half = shared(network)
    halve(half)
    return _run(half, card, precision)


def _run(network: nn.Module, card: EncoderCard, precision: str) -> TorchRun:
    return TorchRun(network, card.transform, device=torch.device("cpu"), precision=precision)
