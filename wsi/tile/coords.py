"""coords.h5: the tile plan as CLAM and TRIDENT read it, with what they don't keep beside it."""

from pathlib import Path

import numpy as np

from wsi.errors import ArtifactError
from wsi.geometry import Mpp, Size
from wsi.hdf5 import Attribute, read_arrays, whole, write_arrays
from wsi.tile.plan import Footprint, TilePlan

FORMAT = "wsi-coords/1"


def patch_attributes(plan: TilePlan, slide_mpp: Mpp, size: Size) -> dict[str, Attribute]:
    """Return the attributes that CLAM and TRIDENT put on `coords`, and ours.

    Magnifications are 10 / mpp, the field's convention; nothing here computes with them.
    """
    return {
        "patch_size": plan.tile_px,
        "patch_level": 0,
        "patch_size_level0": round(plan.footprint.x),
        "level0_magnification": round(10 / slide_mpp.mean),
        "target_magnification": round(10 / plan.mpp),
        "overlap": round(plan.tile_px * (1 - plan.stride.x / plan.footprint.x)),
        "level0_width": size.width,
        "level0_height": size.height,
        "tile_mpp": plan.mpp,
        "slide_mpp_x": slide_mpp.x,
        "slide_mpp_y": slide_mpp.y,
        "footprint_x": plan.footprint.x,
        "footprint_y": plan.footprint.y,
        "stride_x": plan.stride.x,
        "stride_y": plan.stride.y,
    }


def write_coords(path: Path, plan: TilePlan, *, slide_mpp: Mpp, size: Size) -> str:
    """Publish the plan as coords.h5 and return its sha256."""
    attributes = patch_attributes(plan, slide_mpp, size)
    arrays = {"coords": whole(plan.coords, attributes), "tissue": whole(plan.tissue)}
    return write_arrays(path, arrays, {"format": FORMAT})


def read_coords(path: Path) -> TilePlan:
    """Read coords.h5; ArtifactError when it is damaged or not ours."""
    with read_arrays(path) as file:
        if file.attrs.get("format") != FORMAT:
            raise ArtifactError(f"{path}: not a tile plan of this tool; run `wsi-run tile` again")
        of = file["coords"].attrs
        return TilePlan(
            tile_px=int(of["patch_size"]),
            mpp=float(of["tile_mpp"]),
            footprint=Footprint(float(of["footprint_x"]), float(of["footprint_y"])),
            stride=Footprint(float(of["stride_x"]), float(of["stride_y"])),
            coords=np.asarray(file["coords"][:], np.int32),
            tissue=np.asarray(file["tissue"][:], np.float32),
        )
