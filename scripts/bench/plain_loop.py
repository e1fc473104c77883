"""What a short script does with OpenSlide, Pillow and timm: read each tile by itself, encode it in fp32 batches.

The peer of scripts/bench/pipeline.py and encode.py, on the very tiles that wsi-run planned; run as a process of its own.
"""

import functools
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import openslide
import timm
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file
from timm.data import resolve_model_data_config  # type: ignore[attr-defined]

BATCH = 32


def main() -> None:
    """Encode the tiles of HDF5 files with coords: plain_loop.py SLIDES COORDS WEIGHTS THREADS [NETWORK FEATURES].

    Several slides and their coordinates are joined by colons, as folders in PATH are.
    """
    slides, coords_files, weights, threads = sys.argv[1:5]
    torch.set_num_threads(int(threads))
    network, mean, std = shipped() if len(sys.argv) < 6 else of_timm(sys.argv[5])
    network.load_state_dict({name: tensor.float() for name, tensor in load_file(weights).items()}, strict=False)
    network.eval()
    found = []
    for slide, coords_file in zip(slides.split(os.pathsep), coords_files.split(os.pathsep), strict=True):
        with h5py.File(coords_file) as file:
            coords, about = file["coords"][:], dict(file["coords"].attrs)
        with torch.inference_mode():
            for start in range(0, len(coords), BATCH):
                tiles = list(read_tiles(Path(slide), coords[start : start + BATCH], about))
                images = torch.from_numpy(np.stack(tiles)).permute(0, 3, 1, 2).float() / 255
                found.append(network((images - mean) / std).numpy())
    if len(sys.argv) > 6:
        np.save(sys.argv[6], np.concatenate(found))


def read_tiles(path: Path, coords: NDArray[np.int32], about: Mapping[str, Any]) -> Iterator[NDArray[np.uint8]]:
    """Yield the tiles of a slide as OpenSlide and Pillow give them; `about` are the attributes of the coordinates."""
    slide = opened(path)
    side, tile_px = float(about["footprint_x"]), int(about["patch_size"])
    level = slide.get_best_level_for_downsample(side / tile_px + 0.01)
    here = side / slide.level_downsamples[level]
    box, px = (0, 0, here, here), int(np.ceil(here - 1e-6))
    for x, y in coords:
        region = slide.read_region((int(x), int(y)), level, (px, px)).convert("RGB")
        yield np.asarray(region.resize((tile_px, tile_px), Image.Resampling.BICUBIC, box=box))


@functools.cache
def opened(path: Path) -> openslide.OpenSlide:
    """Return a slide that stays open."""
    return openslide.OpenSlide(path)


def shipped() -> tuple[torch.nn.Module, torch.Tensor, torch.Tensor]:
    """Return the network of the shipped encoder, and the mean and std it wants."""
    network = timm.create_model("mobilenetv2_100", pretrained=False, num_classes=0, pad_type="same")
    half = torch.full((3, 1, 1), 0.5)
    return network, half, half


def of_timm(name: str) -> tuple[torch.nn.Module, torch.Tensor, torch.Tensor]:
    """Return a network of timm, and the mean and std it wants."""
    network = timm.create_model(name, pretrained=False, num_classes=0)
    told = resolve_model_data_config(network)  # type: ignore[no-untyped-call]
    return network, torch.tensor(told["mean"]).view(3, 1, 1), torch.tensor(told["std"]).view(3, 1, 1)


if __name__ == "__main__":
    main()
