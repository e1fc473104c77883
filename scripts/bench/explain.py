"""Pointing game: does the hottest px of an explanation lie on a lesion that a person outlined?

And, after Adebayo et al. 2018: does a network whose weights were shuffled give another map?

Takes a model of fundus photographs and a folder of photographs NAME.jpg with masks NAME_*.png (IDRiD's segmentation part;
the optic disc is no lesion). Beside each method: how often a px drawn anywhere in the field of view would have hit.

    python scripts/bench/explain.py retina-dr PICTURES --head referable --trained-on TRAINING
"""

from pathlib import Path

import numpy as np
import torch
from form import Claim, arguments, close, table
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_dilation

from wsi.evaluate import share
from wsi.predict.explain import METHODS, ExplainedModel, explain, load_explained
from wsi.predict.explain.explained import MAIN
from wsi.read.field_reader import read_field
from wsi.train.pictures import detail_of, near_pictures, read_picture

NEAR_PX = 15
"""A hit may lie so far from a lesion: maps are coarse (10 x 10 places over 512 px)."""
DARK = 20
NO_LESION = "OpticDisc"
PLAYED = tuple(method for method in METHODS if method != "attention")
"""Of one window, attention is the same everywhere."""
MOST_ALIKE = 0.5
"""Of the map of a network whose weights were shuffled, the median correlation with the true map, without its sign."""


def main() -> None:
    """Play the game with every method and print the shares of hits."""
    parser = arguments(__doc__)
    parser.add_argument("model")
    parser.add_argument("pictures", type=Path)
    parser.add_argument(
        "--trained-on", type=Path, metavar="FOLDER", help="leave out photographs that are copies of these"
    )
    parser.add_argument("--head", default=MAIN, help="name of a further head of the model")
    parser.add_argument(
        "--method", action="append", choices=PLAYED, help="one of them, may be given again; all by default"
    )
    parser.add_argument("--most", type=int, default=100, help="photographs to look at")
    parser.add_argument("--shuffled", type=int, default=10, help="of these photographs for the shuffled network")
    given = parser.parse_args()
    model, shuffled = load_explained(given.model), with_shuffled_weights(load_explained(given.model))
    names = [path for path in sorted(given.pictures.glob("*.jpg")) if lesions(path) is not None]
    names = unseen(names, given.trained_on)[: given.most]
    claims, rows = [], []
    chance = float(np.mean([chance_of(path) for path in names]))
    for method in given.method or PLAYED:
        maps = [map_of(model, path, method, given.head) for path in names]
        figure = share("Hits", np.array([hit(path, heat) for path, heat in zip(names, maps, strict=True)]))
        others = [map_of(shuffled, path, method, given.head) for path in names[: given.shuffled]]
        alike = float(np.median([likeness(one, other) for one, other in zip(maps, others, strict=False)]))
        rows.append((method, figure.text(), len(names), f"{chance:.3f}", f"{alike:.2f}"))
        claims.append(Claim(f"{method}: hits by chance, against the low end of its own", chance, figure.low or 0.0))
        claims.append(Claim(f"{method}: likeness to the map of shuffled weights", alike, MOST_ALIKE))
    heads = ("method", "hits", "photographs", "anywhere in the field of view", "likeness to shuffled weights' map")
    print(table(heads, rows))
    close(claims, given.json)


def unseen(paths: list[Path], folder: Path | None) -> list[Path]:
    """Return the photographs that are no copies of any in a folder."""
    known = [] if folder is None else sorted(folder.glob("*.jpg"))
    told = [str(path) for path in (*known, *paths)]
    details = np.stack([detail_of(read_picture(Path(one)).pixels) for one in told])
    copies = {name for pair in near_pictures(told, details) for name in pair.slides}
    return [path for path in paths if known == [] or str(path) not in copies]


def map_of(model: ExplainedModel, path: Path, method: str, head: str) -> NDArray[np.float32]:
    """Return the heat over a photograph's px."""
    heat: NDArray[np.float32] = explain(model, read_field([path]).field, method=method, head=head).values[0]
    return heat


def with_shuffled_weights(model: ExplainedModel) -> ExplainedModel:
    """Return the model with the weights of each layer of its encoder in another order."""
    chance = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weights in model.network.parameters():
            order = torch.randperm(weights.numel(), generator=chance)
            weights.copy_(weights.flatten()[order].reshape(weights.shape))
    return model


def likeness(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return the correlation of two maps where either says anything, without its sign; 0 where one is flat."""
    said = (one != 0) | (other != 0)
    if not said.any() or np.ptp(one[said]) == 0 or np.ptp(other[said]) == 0:
        return 0.0
    return abs(float(np.corrcoef(one[said], other[said])[0, 1]))


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
