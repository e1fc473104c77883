"""A network as an ONNX graph, which back ends other than torch run.

To make one takes ten seconds, so graphs are kept in the user's cache folder; one that was damaged there is made again.
"""

import contextlib
import importlib.metadata
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wsi.card import Transform
from wsi.encode.encoder import CPU_GROUP
from wsi.encode.identity import EncoderIdentity
from wsi.encode.precision import fitted_probes
from wsi.errors import ModelError
from wsi.locks import lock
from wsi.publish import TEMPORARY, sha256_bytes, sha256_file
from wsi.resources import cache_folder

FORMAT = 2
"""Raised when graphs start to be made in another way."""
MAKERS = ("torch", "timm", "onnxscript")
"""Packages of which another version makes another graph."""
GRAPH, FEATURES, SUMS = "graph.onnx", "probes.npy", "sha256.json"
_OF_NETWORK = ("weights_sha256", "architecture", "pooling", "transform", "tile_px", "dim")


@dataclass(frozen=True, slots=True)
class Graph:
    """A graph's file and what it must give.

    The graph takes `(CPU_GROUP, h, w, 3)` uint8 and normalizes it itself. features `(PROBES, D)` float32 are those that
    torch gives in fp32 for the drawn probes, fitted to the network.
    """

    path: Path
    features: NDArray[np.float32]


@contextlib.contextmanager
def open_graph(
    identity: EncoderIdentity, transform: Transform, network: Callable[[], nn.Module], *, keep: bool = True
) -> Iterator[Graph]:
    """Yield the graph of an encoder; the files may be gone after the block.

    Args:
        network: makes the network with its weights; called only when there is no graph of it yet.
        keep: whether the identity says all that the graph depends on, so that it can be found again.

    Raises:
        ModelError: torch can't turn the network into a graph.
    """
    with contextlib.ExitStack() as stack:
        folder = _kept_folder(identity) if keep else None
        with contextlib.suppress(OSError):
            if folder is not None:
                stack.enter_context(lock(folder.parent, wait=True))  # one makes it, the others wait
                if not is_whole(folder):
                    _renew(folder, identity, transform, network)
        if folder is None or not is_whole(folder):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wsi-run-")))
            _make(folder, identity, transform, network())
        yield Graph(folder / GRAPH, np.load(folder / FEATURES))


def is_whole(folder: Path) -> bool:
    """Return whether the files of a graph are there and as they were written."""
    try:
        sums = json.loads((folder / SUMS).read_bytes())
        return {GRAPH, FEATURES} <= set(sums) and all(sha256_file(folder / name) == told for name, told in sums.items())
    except (OSError, ValueError, TypeError):
        return False


def _kept_folder(identity: EncoderIdentity) -> Path:
    told = {name: value for name, value in asdict(identity).items() if name in _OF_NETWORK}
    versions = [importlib.metadata.version(name) for name in MAKERS]
    key = json.dumps([FORMAT, CPU_GROUP, versions, told], sort_keys=True)
    return cache_folder() / "graphs" / sha256_bytes(key.encode())


def _renew(folder: Path, identity: EncoderIdentity, transform: Transform, network: Callable[[], nn.Module]) -> None:
    """Make a graph's folder, whole or not at all, and clear away what was there of it."""
    for left in (folder, *folder.parent.glob(TEMPORARY + "*")):
        shutil.rmtree(left, ignore_errors=True)
    part = folder.parent / f"{TEMPORARY}{folder.name}"
    part.mkdir()
    _make(part, identity, transform, network())
    part.rename(folder)


class _OfTiles(nn.Module):
    """A network that takes tiles as they lie in memory, `(B, h, w, 3)` uint8; normalized in as few steps as can be."""

    scale: Tensor
    shift: Tensor

    def __init__(self, network: nn.Module, transform: Transform) -> None:
        super().__init__()
        self.network = network
        mean, std = (torch.tensor(numbers).view(3, 1, 1) for numbers in (transform.mean, transform.std))
        self.register_buffer("scale", 1 / (255 * std))
        self.register_buffer("shift", -mean / std)

    def forward(self, tiles: Tensor) -> Tensor:
        images = tiles.permute(0, 3, 1, 2).contiguous().float()  # (B, 3, h, w)
        features: Tensor = self.network(images * self.scale + self.shift)  # (B, D)
        return features


def _make(folder: Path, identity: EncoderIdentity, transform: Transform, network: nn.Module) -> None:
    """Write a network's graph, the features of the probes, and the sha256 of each file."""
    tiles = fitted_probes(identity.tile_px, transform).permute(0, 2, 3, 1).contiguous()  # (CPU_GROUP, h, w, 3)
    whole = _OfTiles(network, transform).eval()
    with torch.no_grad():
        features = whole(tiles).numpy()
        try:
            program = torch.onnx.export(whole, (tiles,), dynamo=True, verbose=False)
        except torch.onnx.errors.OnnxExporterError as error:
            raise ModelError(
                f"{identity.id}: torch {torch.__version__} can't turn this network into a graph; use --backend torch"
            ) from error
    assert program is not None
    program.save(folder / GRAPH, external_data=True)
    np.save(folder / FEATURES, features)
    sums = {path.name: sha256_file(path) for path in folder.iterdir()}
    (folder / SUMS).write_text(json.dumps(sums))
