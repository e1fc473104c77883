"""Whole runs to features on the CPU, three kinds of network, beside a short script in fp32 over OpenSlide's tiles.

    python scripts/bench/encode.py --slide SLIDE

Weights are random but the same for both. Ours is `wsi-run encode` with everything at its default, its start, tissue
and records included; the peer, scripts/bench/plain_loop.py, gets the coordinates for nothing. Features of both are
compared before a figure counts.
"""

import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np
import timm
import torch
from form import Claim, arguments, close, spread, table
from processes import Cost, measure
from safetensors.torch import save_file

NETWORKS = ("resnet50", "vit_small_patch16_224", "mobilenetv3_large_100")
MIN_RATIO = 2.5
MIN_COSINE = 0.9995


def main() -> None:
    """Measure, print the table, exit 1 when a claim doesn't hold."""
    parser = arguments(__doc__)
    parser.add_argument("--slide", type=Path, help="a slide that OpenSlide opens; without it one is drawn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2, help="of the encoder, in both")
    parser.add_argument("--networks", nargs="+", default=NETWORKS)
    chosen = parser.parse_args()
    rows, claims = [], []
    with tempfile.TemporaryDirectory() as scratch:
        slide = chosen.slide or draw(Path(scratch) / "drawn")
        for name in chosen.networks:
            weights = make_weights(name, Path(scratch) / f"{name}.safetensors")
            pairs = [one_round(name, slide, weights, Path(scratch), chosen.threads) for _ in range(chosen.rounds)]
            ratios = sorted(plain.cpu_s / ours.cpu_s for ours, plain, _ in pairs)
            cosine = min(cosine for _, _, cosine in pairs)
            costs = [
                spread([getattr(pair[i], what) for pair in pairs], digits=1)
                for i in (0, 1)
                for what in ("cpu_s", "wall_s")
            ]
            rows.append((name, *costs, spread(ratios), f"{cosine:.5f}"))
            claims += [
                Claim(f"{name}: CPU of ours over the plain loop's", 1 / ratios[len(ratios) // 2], 1 / MIN_RATIO),
                Claim(f"{name}: 1 - cosine to fp32", 1 - cosine, 1 - MIN_COSINE),
            ]
    head = ("network", "ours: CPU s", "ours: wall s", "plain: CPU s", "plain: wall s", "CPU ratio", "least cosine")
    print(f"{slide.name}\n\n{table(head, rows)}")
    close(claims, chosen.json)


def draw(folder: Path) -> Path:
    """Draw a slide of 12,000 px a side."""
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from tests import make

    folder.mkdir()
    return make.write_large(folder / "slide.svs", 12_000)


def make_weights(name: str, path: Path) -> Path:
    """Write random weights of a network of timm."""
    torch.manual_seed(0)
    save_file(timm.create_model(name, num_classes=0).state_dict(), path)
    return path


def one_round(name: str, slide: Path, weights: Path, scratch: Path, threads: int) -> tuple[Cost, Cost, float]:
    """Run ours, then the peer on the same tiles; return both costs and the least cosine of their features."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        settings, out, theirs = Path(folder) / "run.yaml", Path(folder) / "OUT", Path(folder) / "plain.npy"
        settings.write_text(f"encode:\n  encoder: timm:{name}\n  weights: {weights}\nengine:\n  threads: {threads}\n")
        command = [sys.executable, "-m", "wsi.cli", "encode", str(slide), "-o", str(out), "-c", str(settings), "-q"]
        ours = measure(command)
        features = next(out.glob("slides/*/features.h5"))
        loop = Path(__file__).with_name("plain_loop.py")
        plain = measure(
            [sys.executable, str(loop), str(slide), str(features), str(weights), str(threads), name, str(theirs)]
        )
        with h5py.File(features) as file:
            found, expected = file["features"][:], np.load(theirs)
    similar = (found * expected).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1)
    return ours, plain, float(similar.min())


if __name__ == "__main__":
    main()
