"""Tiles to features: batches, memory and threads around one network."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wsi.card import Transform
from wsi.encode.identity import EncoderIdentity
from wsi.encode.transform import fit
from wsi.errors import MemoryExceeded, ModelError

CPU_GROUP = 4
"""Tiles that one CPU thread takes at once: as fast as more (measured on three networks), and 3 wasted at most."""
GPU_START, GPU_MOST = 16, 256
"""Where the search for a batch size starts and ends: beyond 256 tiles no encoder gets faster."""
_log = logging.getLogger(__name__)


class Run(Protocol):
    """A network in one precision; many threads call it."""

    precision: str

    def __call__(self, images: Tensor) -> NDArray[np.float32]:
        """Return the features `(B, D)` of fitted images `(B, 3, h, w)`, 0 to 255."""
        ...


class Encoder:
    """One network, loaded once, that turns tiles into features.

    On a CPU each thread takes groups of a fixed number of tiles through kernels that run on that thread
    alone, so a tile's feature doesn't depend on the batch it came in nor on how many threads there are:
    kernels, and with them roundings, are picked by batch size and thread count. Networks that were made for a group
    (`wsi.encode.graph`) get no other number of tiles.

    On a GPU one batch of `batch_size` tiles goes through at a time.
    """

    def __init__(
        self,
        run: Run,
        identity: EncoderIdentity,
        *,
        transform: Transform,
        device: torch.device,
        threads: int = 1,
        batch_size: int | None = None,
    ) -> None:
        self.identity = identity
        self._run = run
        self._transform = transform
        self._device = device
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None
        if device.type == "cpu":
            self._pool = ThreadPoolExecutor(threads, "encode", initializer=partial(torch.set_num_threads, 1))
            self._group = CPU_GROUP
        else:
            self._group = batch_size or GPU_START
            if device.type == "cuda" and not batch_size:  # others don't tell how much memory is left
                self._group = largest_batch(self._fits, start=GPU_START, most=GPU_MOST)
            _log.info("%s takes %d tiles at once", identity.id, self._group)

    @property
    def tile_px(self) -> int:
        return self.identity.tile_px

    @property
    def mpp(self) -> float:
        """µm per px of the tiles."""
        return self.identity.mpp

    @property
    def on_cpu(self) -> bool:
        """Whether it takes the cores that decoding could use."""
        return self._device.type == "cpu"

    @property
    def batch_size(self) -> int:
        """How many tiles a call to `encode` should bring to keep the device busy."""
        return self._group * self._threads if self._pool else self._group

    def encode(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return one feature a tile.

        Args:
            tiles: `(B, tile_px, tile_px, 3)` uint8 RGB, any B.

        Returns:
            `(B, dim)` float32, finite.

        Raises:
            ModelError: the network gave NaN, infinity or another width than its card says.
            MemoryExceeded: not even one tile fits into the memory of the device.
        """
        side = self.tile_px
        if tiles.dtype != np.uint8 or tiles.shape[1:] != (side, side, 3):
            raise ValueError(f"expected (B, {side}, {side}, 3) uint8 tiles, got {tiles.shape} {tiles.dtype}")
        if len(tiles) == 0:
            return np.zeros((0, self.identity.dim), np.float32)
        if self._pool is None:
            found = self._in_groups(tiles)
        else:
            group = self._group
            parts = [tiles[start : start + group] for start in range(0, len(tiles), group)]
            found = np.concatenate(list(self._pool.map(self._in_groups, parts)))
        return self._checked(found)

    def close(self) -> None:
        """Stop the threads."""
        if self._pool is not None:
            self._pool.shutdown()

    def _in_groups(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Take tiles through the network one group after the other, in smaller groups once memory ran out."""
        done: list[NDArray[np.float32]] = []
        start = 0
        while start < len(tiles):
            part = tiles[start : start + self._group]
            try:
                done.append(self._forward(part))
            except torch.OutOfMemoryError as error:
                self._shrink(len(part), error)
            else:
                start += len(part)
        return np.concatenate(done)

    def _shrink(self, failed: int, error: torch.OutOfMemoryError) -> None:
        if failed == 1:
            raise MemoryExceeded(
                f"{self.identity.id}: not even one tile fits into the memory of {self._device}; "
                "use a lower precision, a smaller encoder or another device"
            ) from error
        self._group = min(self._group, failed // 2)
        _log.warning("%s: out of memory with %d tiles at once; goes on with %d", self.identity.id, failed, self._group)
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _forward(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        n = len(tiles)
        if self._pool is not None and n < self._group:
            tiles = np.concatenate([tiles, np.zeros((self._group - n, *tiles.shape[1:]), np.uint8)])
        with torch.inference_mode():
            images = fit(torch.from_numpy(np.ascontiguousarray(tiles)).to(self._device), self._transform)
        return self._run(images)[:n]

    def _checked(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        if features.ndim != 2 or features.shape[1] != self.identity.dim:
            raise ModelError(
                f"{self.identity.id}: gave features of shape {features.shape}, its card says dim {self.identity.dim}"
            )
        if not np.isfinite(features).all():
            raise ModelError(
                f"{self.identity.id}: gave NaN or infinity at {self.identity.precision}; use --precision fp32"
            )
        return features

    def _fits(self, n: int) -> bool:
        """Return whether n tiles fit into the GPU with as much memory left as they took."""
        torch.cuda.reset_peak_memory_stats(self._device)
        before = torch.cuda.memory_allocated(self._device)
        try:
            self._forward(np.zeros((n, self.tile_px, self.tile_px, 3), np.uint8))
        except torch.OutOfMemoryError:
            return False
        finally:
            torch.cuda.empty_cache()
        taken = torch.cuda.max_memory_allocated(self._device) - before
        return taken < torch.cuda.mem_get_info(self._device)[0] / 2


def largest_batch(fits: Callable[[int], bool], *, start: int, most: int) -> int:
    """Return the largest `start * 2**k` up to `most` that fits, or the largest half of `start` that does.

    1 when nothing fits: the first real batch then says so.
    """
    size = start
    if fits(size):
        while size * 2 <= most and fits(size * 2):
            size *= 2
        return size
    while size > 1:
        size //= 2
        if fits(size):
            break
    return size
