"""Whole runs to features on the CPU, three kinds of network, beside a short script in fp32 over OpenSlide's tiles.

    python scripts/bench/encode.py --slide SLIDE --slide SLIDE

Ours is `wsi-run encode` with everything at its default, once by each back end that is installed; the peer,
scripts/bench/plain_loop.py, gets the coordinates for nothing. Both are whole commands: imports and start are counted in
both, tissue and records in ours. What a command costs on a slide of a few tiles is shown beside it: the first time, when
a back end makes its graph, and again. Features of both are compared before a figure counts; at the slide's own scale
both see the very same px, so that what differs is the network's doing.

Weights are random, the same for all, but for the statistics of batch norms, which are those of a slide's tiles as in a
trained network: without them some random networks give features near zero, which no half precision keeps.

The aims are for processors that multiply bf16; on others the table is the same and claims nothing of ratios.
"""

import functools
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import openslide
import timm
import torch
from form import Claim, arguments, close, spread, table
from plain_loop import read_tiles
from processes import Cost, measure
from safetensors.torch import save_file
from timm.data import resolve_model_data_config  # type: ignore[attr-defined]
from torch import nn

from wsi.encode import read_features
from wsi.encode.precision import cpu_has_bf16

NETWORKS = ("resnet50", "vit_small_patch16_224", "mobilenetv3_large_100")
MIN_RATIO = {"torch": 2.5, "openvino": 4.0}
"""In bf16."""
MIN_COSINE = 0.9995
TILE_PX = 224
"""Input of all three."""
CALIBRATED_ON = 64
"""Tiles whose statistics the batch norms get."""


@dataclass(frozen=True)
class Bench:
    """What stays the same over all runs."""

    slides: Path
    """A folder of slides."""
    few: Path
    """A folder with a slide of a dozen tiles."""
    scratch: Path
    threads: int
    mpp: float

    @functools.cached_property
    def coords(self) -> dict[Path, Path]:
        return plan(self, self.slides)

    @functools.cached_property
    def few_coords(self) -> dict[Path, Path]:
        return plan(self, self.few)

    def settings(self, name: str) -> Path:
        path = self.scratch / f"{name}.yaml"
        told = f"encode:\n  encoder: timm:{name}\n  weights: {self.weights(name)}\n"
        path.write_text(f"{told}tile:\n  mpp: {self.mpp}\nengine:\n  threads: {self.threads}\n")
        return path

    def weights(self, name: str) -> Path:
        return self.scratch / f"{name}.safetensors"


@dataclass(frozen=True, slots=True)
class Ran:
    """A run: what it cost, its features, and the precision they were computed in."""

    cost: Cost
    features: np.ndarray
    precision: str


def main() -> None:
    """Measure, print the table, exit 1 when a claim doesn't hold."""
    parser = arguments(__doc__)
    parser.add_argument(
        "--slide",
        type=Path,
        action="append",
        help="a slide that OpenSlide opens; all go through one command; else one is drawn",
    )
    parser.add_argument("--mpp", type=float, help="µm per px of the tiles; left out: the first slide's own")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2, help="of the encoder, in both")
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    parser.add_argument(
        "--backends", nargs="+", default=[n for n in ("torch", "openvino", "onnxruntime") if find_spec(n)]
    )
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        here = Path(scratch)
        os.environ["XDG_CACHE_HOME"] = str(here / "cache")
        slides, few = here / "slides", here / "few"
        for folder in (slides, few):
            folder.mkdir()
        for slide in chosen.slide or [draw(here / "drawn.svs", 32_000)]:
            (slides / slide.name).symlink_to(slide.absolute())
        first = min(slides.iterdir())
        mpp = chosen.mpp or float(openslide.OpenSlide(first).properties[openslide.PROPERTY_NAME_MPP_X])
        draw(few / "few.svs", 1_200, mpp=mpp)
        bench = Bench(slides, few, here, chosen.threads, mpp)
        count = sum(len(places_of(coords)[0]) for coords in bench.coords.values())
        rows, claims = [], []
        for name in chosen.networks:
            found = compare(bench, name, chosen.backends, chosen.rounds)
            rows += found[0]
            claims += found[1]
    head = (
        "network",
        "back end",
        "precision",
        "ours: CPU s",
        "plain: CPU s",
        "ratio",
        "least cosine",
        "start of ours",
        "of plain",
    )
    names = ", ".join(slide.name for slide in bench.coords)
    print(f"{names}: {count} tiles\n\n{table(head, rows)}")
    if not cpu_has_bf16():
        print("\nThis processor doesn't multiply bf16: ratios are of fp32, and no claim is made of them.")
    close(claims, chosen.json)


def draw(path: Path, side: int, *, mpp: float = 0.25) -> Path:
    """Draw a slide of so many px a side."""
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from tests import make

    return make.write_large(path, side, mpp=mpp)


def compare(
    bench: Bench, name: str, backends: Sequence[str], rounds: int
) -> tuple[list[Sequence[object]], list[Claim]]:
    """Run the peer and ours by each back end in turn; return the table's rows and the claims of a network."""
    make_weights(name, bench)
    starts = {one: [ours(bench, name, one, bench.few).cost.cpu_s for _ in range(2)] for one in backends}
    plain_start = plain(bench, name, bench.few_coords)[0].cpu_s
    ran: dict[str, list[Ran]] = {one: [] for one in backends}
    peers = []
    for _ in range(rounds):
        cost, expected = plain(bench, name, bench.coords)
        peers.append(cost.cpu_s)
        for one in backends:
            ran[one].append(ours(bench, name, one, bench.slides))
            print(f"{name}, {one}: {ran[one][-1].cost.cpu_s:.1f} CPU s, plain {cost.cpu_s:.1f}", file=sys.stderr)
    rows: list[Sequence[object]] = []
    claims = []
    for one, all_runs in ran.items():
        ratios = [peer / run.cost.cpu_s for peer, run in zip(peers, all_runs, strict=True)]
        cosine = min(least_cosine(run.features, expected) for run in all_runs)
        precision, first, again = all_runs[0].precision, *starts[one]
        costs = (spread([run.cost.cpu_s for run in all_runs], digits=1), spread(peers, digits=1), spread(ratios))
        start = f"{first:.1f}, again {again:.1f}"
        rows.append((name, one, precision, *costs, f"{cosine:.5f}", start, f"{plain_start:.1f}"))
        claims.append(Claim(f"{name}, {one}: 1 - cosine to fp32", 1 - cosine, 1 - MIN_COSINE))
        if cpu_has_bf16() and one in MIN_RATIO:
            ratio = statistics.median(ratios)
            claims.append(Claim(f"{name}, {one}: CPU of ours over the plain loop's", 1 / ratio, 1 / MIN_RATIO[one]))
    return rows, claims


def plan(bench: Bench, slides: Path) -> dict[Path, Path]:
    """Return the coordinates of each slide's tiles, as `wsi-run tile` plans them."""
    out = bench.scratch / f"tiles-{slides.name}"
    command = [sys.executable, "-m", "wsi.cli", "tile", str(slides), "-o", str(out), "-q"]
    measure([*command, "--tile-px", str(TILE_PX), "--tile-mpp", str(bench.mpp)])
    return {slide: next(out.glob(f"slides/{slide.stem}-*/coords.h5")) for slide in sorted(slides.iterdir())}


def places_of(coords: Path) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the places of a slide's tiles, and what is told of them."""
    with h5py.File(coords) as file:
        return file["coords"][:], dict(file["coords"].attrs)


def ours(bench: Bench, name: str, backend: str, slides: Path) -> Ran:
    """Encode slides into a fresh folder."""
    with tempfile.TemporaryDirectory(dir=bench.scratch) as out:
        command = [sys.executable, "-m", "wsi.cli", "encode", str(slides), "-o", out, "-q"]
        cost = measure([*command, "-c", str(bench.settings(name)), "--backend", backend])
        found = [read_features(path) for path in sorted(Path(out).glob("slides/*/features.h5"))]
    assert found[0].identity is not None
    return Ran(cost, np.concatenate([one.features for one in found]), found[0].identity.precision)


def plain(bench: Bench, name: str, coords: Mapping[Path, Path]) -> tuple[Cost, np.ndarray]:
    """Run the short script on the same tiles; return what it cost and its features."""
    theirs = bench.scratch / "plain.npy"
    slides, places = (os.pathsep.join(map(str, paths)) for paths in (coords.keys(), coords.values()))
    script = [sys.executable, str(Path(__file__).with_name("plain_loop.py"))]
    cost = measure([*script, slides, places, str(bench.weights(name)), str(bench.threads), name, str(theirs)])
    return cost, np.load(theirs)


def make_weights(name: str, bench: Bench) -> None:
    """Write random weights of a network of timm, its batch norms fitted to tiles of the slide."""
    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=0)
    told = resolve_model_data_config(network)  # type: ignore[no-untyped-call]
    norms = [layer for layer in network.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    if norms:
        mean, std = (torch.tensor(told[key]).view(3, 1, 1) for key in ("mean", "std"))
        slide, coords = next(iter(bench.coords.items()))
        places, about = places_of(coords)
        every = max(1, len(places) // CALIBRATED_ON)
        tiles = np.stack(list(read_tiles(slide, places[::every][:CALIBRATED_ON], about)))
        for layer in norms:
            layer.momentum = 1.0
        network.train()
        with torch.inference_mode():
            network((torch.from_numpy(tiles).permute(0, 3, 1, 2).float() / 255 - mean) / std)
    save_file(network.state_dict(), bench.weights(name))


def least_cosine(ones: np.ndarray, others: np.ndarray) -> float:
    """Return the least cosine between features of the same tiles."""
    return float(((ones * others).sum(1) / np.linalg.norm(ones, axis=1) / np.linalg.norm(others, axis=1)).min())


if __name__ == "__main__":
    main()
