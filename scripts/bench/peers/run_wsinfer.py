"""WSInfer over one slide, as `wsinfer run` does it: patches, then a TorchScript model that costs nothing.

python run_wsinfer.py SLIDE OUT TILE_PX MPP
"""

import json
import os
import sys
from importlib.metadata import version
from pathlib import Path

import torch
from wsinfer.modellib.models import LocalModelTorchScript
from wsinfer.modellib.run_inference import run_inference
from wsinfer.patchlib import segment_and_patch_directory_of_slides
from wsinfer_zoo.client import ModelConfiguration


class Null(torch.nn.Module):
    """The mean of a tile."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((1, 2, 3))[:, None]


def main(slide: Path, out: Path, tile_px: int, mpp: float) -> None:
    """Run and tell how many tiles there were."""
    slides, results, weights = out / "slides", out / "results", out / "null.pt"
    slides.mkdir()
    (slides / slide.name).symlink_to(slide)
    torch.jit.save(torch.jit.script(Null()), weights)
    half = [0.5, 0.5, 0.5]
    config = ModelConfiguration.from_dict({
        "spec_version": "1.0", "architecture": "null", "num_classes": 1, "class_names": ["null"],
        "patch_size_pixels": tile_px, "spacing_um_px": mpp,
        "transform": [
            {"name": "Resize", "arguments": {"size": tile_px}},
            {"name": "ToTensor"},
            {"name": "Normalize", "arguments": {"mean": half, "std": half}},
        ],
    })  # fmt: skip
    segment_and_patch_directory_of_slides(
        wsi_dir=slides, save_dir=results, patch_size_px=tile_px, patch_spacing_um_px=mpp
    )
    run_inference(
        slides,
        results,
        LocalModelTorchScript(config=config, model_path=str(weights)),
        batch_size=32,
        num_workers=min(8, len(os.sched_getaffinity(0))),
    )
    rows = (results / "model-outputs-csv" / f"{slide.stem}.csv").read_text().splitlines()
    (out / "told.json").write_text(json.dumps({"tiles": len(rows) - 1, "version": version("wsinfer")}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
    os._exit(0)
