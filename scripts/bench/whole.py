"""A whole `wsi-run encode` with a network that costs nothing: what reading, tissue, records and files take.

    python scripts/bench/whole.py --slide SLIDE

Two slides of tissue on glass are made, 20x and 40x, both with about 2,350 tiles at 0.5 µm per px, of the densest
tissue of SLIDE; without it the tissue is drawn, whose grain costs a JPEG decoder twice as much. What a run over a
slide of a few tiles takes is taken off, so that imports, which all tools have, don't count. PEERS are the CPU seconds
that other tools took for about as many tiles of H&E, each run as its users do with a null network put in, imports left
out, on 2026-11-22 on two cores of an AMD EPYC (Zen 5): they can't be run beside ours in one environment.
"""

import os
import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import openslide
import tifffile
from form import Claim, arguments, close, spread, table
from numpy.typing import NDArray
from processes import Cost, measure

PEERS = {
    "20x": {
        "AtlasPatch": 6.0, "TRIDENT": 7.1, "WSInfer": 7.3, "TIAToolbox": 8.1, "CLAM": 9.6, "LazySlide": 12.0, "STAMP": 12.1
    },
    "40x": {
        "AtlasPatch": 17.0, "WSInfer": 17.7, "TIAToolbox": 19.8, "LazySlide": 19.8, "TRIDENT": 24.6, "STAMP": 32.3,
        "CLAM": 39.4,
    },
}  # fmt: skip
SLIDES = {"20x": (20_000, 0.5), "40x": (40_000, 0.25)}
"""Side in px, and µm per px."""
MIN_RATIO = 5.0
NULL = '''"""A network that costs nothing."""

from torch import Tensor, nn

from wsi.card import EncoderCard


class Null(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images[:, :, ::64, ::64].flatten(1)


def make(_weights: object) -> tuple[EncoderCard, nn.Module]:
    half = [0.5, 0.5, 0.5]
    return EncoderCard.model_validate({
        "kind": "encoder", "id": "null", "title": "null", "licence": {"weights": "Apache-2.0"},
        "architecture": {"name": "null"}, "weights": {}, "input": {"tile_px": 256, "mpp": 0.5},
        "transform": {"mean": half, "std": half}, "pooling": "model", "dim": 48,
    }), Null()
'''


def main() -> None:
    """Measure, print the table, exit 1 when a claim doesn't hold."""
    parser = arguments(__doc__)
    parser.add_argument("--slide", type=Path, help="a slide in JPEG tiles of at least 256 px that OpenSlide opens")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from tests import make

    rows, claims = [], []
    with tempfile.TemporaryDirectory() as scratch:
        here = Path(scratch)
        offer(here / "plugin")
        picture = densest(chosen.slide) if chosen.slide else None
        write = partial(make.write_large, tile=256, picture=picture, quality=70)
        few = write(here / "few.svs", 3_000, mpp=0.5)
        for name, (side, mpp) in SLIDES.items():
            slide = write(here / f"{name}.svs", side, mpp=mpp)
            pairs = [(run(slide, here), run(few, here)) for _ in range(chosen.rounds)]
            own = [whole.cpu_s - start.cpu_s for whole, start in pairs]
            starts, peak = [start.cpu_s for _, start in pairs], max(whole.peak_mb for whole, _ in pairs)
            rows.append((name, "wsi-run", spread(own), "1", f"{peak:.0f}", spread(starts)))
            middle = statistics.median(own)
            for peer, cpu_s in PEERS[name].items():
                rows.append((name, peer, f"{cpu_s:.1f}", f"{cpu_s / middle:.1f}", "", ""))
                claims.append(Claim(f"{name}: CPU of ours over {peer}'s", middle / cpu_s, 1 / MIN_RATIO))
    head = ("slide", "tool", "CPU s, its own", "x ours", "peak MB", "CPU s to start")
    print(table(head, rows))
    close(claims, chosen.json)


def densest(slide: Path) -> NDArray[np.uint8]:
    """Return 256 x 256 px of the stored tile of level 0 with the most bytes."""
    with tifffile.TiffFile(slide) as file:
        page = file.pages.first
        index = int(np.argmax(page.databytecounts))
        columns = -(-page.imagewidth // page.tilewidth)
        place = (index % columns * page.tilewidth, index // columns * page.tilelength)
    with openslide.OpenSlide(slide) as opened:
        return np.asarray(opened.read_region(place, 0, (256, 256)).convert("RGB"))


def offer(folder: Path) -> None:
    """Write the null encoder as an installed package."""
    told = folder / "wsi_null-1.0.dist-info"
    told.mkdir(parents=True)
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: wsi-null\nVersion: 1.0\n")
    (told / "entry_points.txt").write_text("[wsi.encoders]\nnull = wsi_null:make\n")
    (folder / "wsi_null.py").write_text(NULL)


def run(slide: Path, scratch: Path) -> Cost:
    """Return what encoding a slide into a fresh folder costs, its start included."""
    paths = [str(scratch / "plugin"), str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    with tempfile.TemporaryDirectory(dir=scratch) as out:
        command = [sys.executable, "-m", "wsi.cli", "encode", str(slide), "-o", out, "--encoder", "null"]
        command += ["--tile-px", "256", "--tile-mpp", "0.5", "-q"]
        return measure(command, environment={"PYTHONPATH": os.pathsep.join(path for path in paths if path)})


if __name__ == "__main__":
    main()
