"""What a short script does with OpenSlide, Pillow and timm: read each tile by itself, encode it in fp32 batches.

The peer of scripts/bench/pipeline.py, on the very tiles that wsi-run planned; run as a process of its own.
"""

import sys
from pathlib import Path

import h5py
import numpy as np
import openslide
import timm
import torch
from PIL import Image
from safetensors.torch import load_file

BATCH = 32


def main() -> None:
    """Encode the tiles of coords.h5 on a slide: plain_loop.py SLIDE COORDS WEIGHTS THREADS."""
    slide_path, coords_path, weights, threads = sys.argv[1:5]
    torch.set_num_threads(int(threads))
    network = timm.create_model("mobilenetv2_100", pretrained=False, num_classes=0, pad_type="same")
    network.load_state_dict({name: tensor.float() for name, tensor in load_file(weights).items()})
    network.eval()
    with h5py.File(coords_path) as file:
        coords, about = file["coords"][:], dict(file["coords"].attrs)
    slide = openslide.OpenSlide(Path(slide_path))
    side, tile_px = round(float(about["footprint_x"])), int(about["patch_size"])
    level = slide.get_best_level_for_downsample(side / tile_px + 0.01)
    here = round(side / slide.level_downsamples[level])
    with torch.inference_mode():
        for start in range(0, len(coords), BATCH):
            tiles = [
                np.asarray(
                    slide.read_region((int(x), int(y)), level, (here, here))
                    .convert("RGB")
                    .resize((tile_px, tile_px), Image.Resampling.BICUBIC)
                )
                for x, y in coords[start : start + BATCH]
            ]
            images = torch.from_numpy(np.stack(tiles)).permute(0, 3, 1, 2).float() / 127.5 - 1
            network(images)


if __name__ == "__main__":
    main()
