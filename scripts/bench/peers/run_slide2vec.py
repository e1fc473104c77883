"""slide2vec over one slide: a Pipeline with hs2p's tissue and tiles, and a registered encoder that costs nothing.

python run_slide2vec.py SLIDE OUT TILE_PX MPP
"""

import json
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hs2p import TilingConfig
from slide2vec import ExecutionOptions, Model, Pipeline, PreprocessingConfig
from slide2vec.encoders.base import TileEncoder
from slide2vec.encoders.registry import register_encoder
from torchvision.transforms import v2


@register_encoder(
    "null", encode_dim=3, input_size=256, supports_variable_input_size=True, supported_spacing_um=0.5, precision="fp32"
)
class Null(TileEncoder):  # type: ignore[misc]
    """The mean of a tile."""

    encode_dim = 3
    device = torch.device("cpu")

    def __init__(self, *, output_variant: str | None = None) -> None:
        pass

    def get_normalization_transform(self) -> Any:
        half = [0.5, 0.5, 0.5]
        return v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean=half, std=half)])

    get_transform = get_normalization_transform

    def encode_tiles(self, batch: torch.Tensor) -> torch.Tensor:
        return batch.mean((2, 3))

    def to(self, device: Any) -> "Null":
        return self


def main(slide: Path, out: Path, tile_px: int, mpp: float) -> None:
    """Run and tell how many tiles there were."""
    tiling = TilingConfig(requested_spacing_um=mpp, requested_tile_size_px=tile_px, tolerance=0.05, overlap=0.0)
    pipeline = Pipeline(
        model=Model.from_preset("null", device="cpu"),
        preprocessing=PreprocessingConfig(tiling=tiling),
        execution=ExecutionOptions(output_dir=out / "results", output_format="npz", num_gpus=1, precision="fp32"),
    )
    (out / "slides.csv").write_text(f"sample_id,image_path\nslide,{slide}\n")
    pipeline.run(manifest_path=out / "slides.csv")
    (features,) = (out / "results").rglob("tile_embeddings/*.npz")
    tiles = len(np.load(features)["features"])
    (out / "told.json").write_text(json.dumps({"tiles": tiles, "version": version("slide2vec")}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
    os._exit(0)
