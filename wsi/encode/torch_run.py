"""A network run by torch, on any device."""

import contextlib
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wsi.card import Transform
from wsi.encode.precision import in_bf16
from wsi.encode.transform import normalize
from wsi.errors import ModelError

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TorchRun:
    """A network on its device, in its precision.

    Weights stay float32, and what needs it is computed in float32. But in bf16 on a CPU the weights themselves are
    bf16: to cast them for every few tiles costs more than it saves.
    """

    def __init__(self, network: nn.Module, transform: Transform, *, device: torch.device, precision: str) -> None:
        self.precision = precision
        self._casts = device.type == "cpu" and precision == "bf16"
        network = in_bf16(network) if self._casts else network
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
        dtype, contexts = DTYPES[self.precision], contextlib.ExitStack()
        with contexts:
            if self._device.type == "cuda":
                exact = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
                contexts.enter_context(exact)
            if dtype != torch.float32 and not self._casts:
                contexts.enter_context(torch.autocast(self._device.type, dtype))
            yield
