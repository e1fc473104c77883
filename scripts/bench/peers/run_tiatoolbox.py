"""TIAToolbox over one slide: DeepFeatureExtractor with its own tissue mask, and a network that costs nothing.

python run_tiatoolbox.py SLIDE OUT TILE_PX MPP
"""

import json
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr
from tiatoolbox.models.engine.deep_feature_extractor import DeepFeatureExtractor
from tiatoolbox.models.engine.io_config import IOPatchPredictorConfig
from tiatoolbox.models.models_abc import ModelABC


class Null(ModelABC):  # type: ignore[misc]
    """The mean of a tile."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.float().mean((1, 2))

    @staticmethod
    def infer_batch(model: torch.nn.Module, batch_data: torch.Tensor, *, device: str) -> list[np.ndarray]:
        with torch.inference_mode():
            return [model(batch_data.to(device)).cpu().numpy()]


def main(slide: Path, out: Path, tile_px: int, mpp: float) -> None:
    """Run and tell how many tiles there were."""
    extractor = DeepFeatureExtractor(model=Null(), batch_size=32, num_workers=len(os.sched_getaffinity(0)))
    made = extractor.run(
        images=[slide],
        patch_mode=False,
        ioconfig=IOPatchPredictorConfig(
            input_resolutions=[{"units": "mpp", "resolution": mpp}],
            patch_input_shape=(tile_px, tile_px),
            stride_shape=(tile_px, tile_px),
        ),
        save_dir=out / "results",
        output_type="zarr",
    )
    written: Any = zarr.open(str(made[slide]), mode="r")
    tiles = written["features"].shape[0]
    (out / "told.json").write_text(json.dumps({"tiles": tiles, "version": version("tiatoolbox")}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
    os._exit(0)
