"""Pointing game: does the hottest px of an explanation lie on a lesion that a person outlined?

Takes a model of fundus photographs and a folder of photographs NAME.jpg with masks NAME_*.png (IDRiD's segmentation part;
the optic disc is no lesion). Beside each method: how often a px drawn anywhere in the field of view would have hit.

    python scripts/bench/explain.py retina-dr PICTURES --most 20
"""

from pathlib import Path

import numpy as np
from form import Claim, arguments, close, table
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_dilation

from wsi.evaluate import share
from wsi.predict.explain import METHODS, explain, load_explained
from wsi.read.field_reader import read_field

NEAR_PX = 15
"""A hit may lie so far from a lesion: maps are coarse (10 x 10 places over 512 px)."""
DARK = 20
NO_LESION = "OpticDisc"


def main() -> None:
    """Play the game with every method and print the shares of hits."""
    parser = arguments(__doc__)
    parser.add_argument("model")
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--most", type=int, default=20, help="photographs to look at")
    given = parser.parse_args()
    model = load_explained(given.model)
    names = [path for path in sorted(given.pictures.glob("*.jpg")) if lesions(path) is not None][: given.most]
    claims, rows = [], []
    chance = float(np.mean([chance_of(path) for path in names]))
    for method in METHODS:
        if method == "attention":  # one window: it is the same everywhere
            continue
        hits = [hit(path, explain(model, read_field([path]).field, method=method).values[0]) for path in names]
        figure = share("Hits", np.array(hits))
        rows.append((method, figure.text(), len(names), f"{chance:.3f}"))
        claims.append(Claim(f"{method}: hits by chance, against the low end of its own", chance, figure.low or 0.0))
    print(table(("method", "hits", "photographs", "anywhere in the field of view"), rows))
    close(claims, given.json)


def lesions(path: Path) -> NDArray[np.bool_] | None:
    """Return where lesions were outlined, and a little around them; None where there are none."""
    masks = [one for one in sorted(path.parent.glob(f"{path.stem}_*.png")) if NO_LESION not in one.stem]
    if not masks:
        return None
    found = np.any([np.asarray(Image.open(one).convert("L")) > 0 for one in masks], axis=0)
    return binary_dilation(found, iterations=NEAR_PX) if found.any() else None


def hit(path: Path, heat: NDArray[np.float32]) -> bool:
    """Return whether the hottest px lies on or near a lesion."""
    target = lesions(path)
    assert target is not None
    return bool(target.ravel()[int(heat.argmax())])


def chance_of(path: Path) -> float:
    """Return the share of the field of view that counts as a hit."""
    target = lesions(path)
    assert target is not None
    seen = np.asarray(Image.open(path).convert("RGB")).max(axis=2) > DARK
    return float(target[seen].mean())


if __name__ == "__main__":
    main()
