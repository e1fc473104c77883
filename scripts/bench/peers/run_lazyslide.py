"""LazySlide over one slide, as its documentation has it, with a network that costs nothing.

python run_lazyslide.py SLIDE OUT TILE_PX MPP
"""

import json
import os
import sys
from importlib.metadata import version
from pathlib import Path

import lazyslide as zs
import torch
from torchvision.transforms import v2
from wsidata import open_wsi


class Null(torch.nn.Module):
    """The mean of a tile."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3))


def main(slide: Path, out: Path, tile_px: int, mpp: float) -> None:
    """Run and tell how many tiles there were."""
    half = [0.5, 0.5, 0.5]
    transform = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean=half, std=half)])
    wsi = open_wsi(slide, store=str(out / "slide.zarr"))
    zs.pp.find_tissues(wsi)
    zs.pp.tile_tissues(wsi, tile_px, mpp=mpp)
    zs.tl.feature_extraction(wsi, Null(), model_name="null", transform=transform, device="cpu")
    wsi.write()
    tiles = len(wsi.fetch.features_anndata("null"))
    (out / "told.json").write_text(json.dumps({"tiles": tiles, "version": version("lazyslide")}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
    os._exit(0)
