"""The frame of reference of what the page shows: level-0 px of a slide, or the px of a picture that was read whole."""

from wsi.export.image_geojson import scale_of_image
from wsi.results import Result, Scale


def is_picture(result: Result) -> bool:
    """Return whether the result is of a picture that was read whole."""
    return result.image is not None and len(result.image.shape) == 2


def is_volume(result: Result) -> bool:
    """Return whether it is of a volume, which has no plane of its own to look at."""
    return result.image is not None and len(result.image.shape) > 2


def frame(result: Result) -> Scale | None:
    """Return how tiles and windows lie on what is shown; None where nothing does. A picture's has no µm that count."""
    if result.image is not None and is_picture(result):
        return scale_of_image(result.image)
    return result.scale
