"""What the model draws on whole slides, and what it draws when it never saw a slide of that patient.

python scripts/train/tumor/pictures.py --data DATA --work WORK --model models/tumor

DATA is the folder that holds slides/, WORK what prepare.py wrote. Prints a line a slide, or part of one, for the notes of
configs/tumor-training.yaml: mean score of its tiles, share of them at or above the threshold, probability of the slide.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from prepare import COLUMNS, read_table, write_table

from wsi.model_folder import model_card
from wsi.results import read_scores

TARGET = "diagnosis:binary:not malignant,malignant"
SETTINGS = Path(__file__).absolute().parents[3] / "configs" / "tumor-training.yaml"


@dataclass(frozen=True, slots=True)
class Picture:
    """A slide to draw: its file, the cohort's name of that patient, µm per px where the file doesn't say it.

    part: of lung-scc-HE3, whose left 40 % are blood clot and whose rest is tumor.
    """

    file: str
    patient: str
    truth: str
    mpp: str = ""
    part: str = ""


LUNG, CLOT_SHARE = "lung-squamous-cell-carcinoma", 0.4
PICTURES = (
    Picture("lung-scc-HE3.tiff", LUNG, "blood clot", part="left"),
    Picture("lung-scc-HE3.tiff", LUNG, "solid tumor", part="right"),
    Picture("lung-scc-HE2.svs", LUNG, "malignant"),
    Picture("pdac-trucut-HE3-20x-dicom", "PDAC-tru-cut", "malignant"),
    Picture("crohn-HE4-10x.ome.tif", "crohn-colonoscopic-biopsy", "benign (Crohn disease)"),
    Picture("adenoma-HE-nompp.tiff", "tubularadenoma-flat", "dysplastic, not malignant; pixel size guessed", mpp="0.5"),
    Picture("CMU-1-Small-Region.svs", "", "normal skin, never seen"),
)


def command(*arguments: str | Path, cwd: Path | None = None) -> None:
    """Run `wsi-run`; it may refuse nothing here."""
    subprocess.run(
        [sys.executable, "-m", "wsi.cli", *map(str, arguments), "-q"], cwd=cwd, check=True, stdout=subprocess.DEVNULL
    )


def without(patient: str, work: Path) -> Path:
    """Return a model that was trained without a patient."""
    model = work / "without" / patient
    rows = [row for row in read_table(work / "labels.csv") if row["patient"] != patient]
    labels = work / f"without-{patient}.csv"
    write_table(labels, COLUMNS, [[row[name] for name in COLUMNS] for row in rows])
    settings = ("-c", SETTINGS, "--background", "background", "--scheme", "k-fold")
    command("train", labels.name, "--features", "features", "--target", TARGET, *settings, "-o", model, cwd=work)
    return model


def reading(picture: Picture, model: Path, data: Path, out: Path) -> tuple[int, str]:
    """Return how many tiles there are, and what the model says of them."""
    scale = ("--mpp", picture.mpp) if picture.mpp else ()
    command(data / "slides" / picture.file, "-o", out, "-m", model, *scale)
    folder = next((out / "slides").iterdir())
    result, scores = json.loads((folder / "result.json").read_text()), read_scores(folder / "scores.h5")
    kept: NDArray[np.bool_] = np.ones(len(scores.coords), bool)
    if picture.part:
        kept = (scores.coords[:, 0] < CLOT_SHARE * result["scale"]["width"]) == (picture.part == "left")
    tiles, threshold = scores.score[kept], model_card(model).thresholds[0].value
    whole = next(one["probability"] for one in result["classes"] if one["name"] == "malignant")
    return int(kept.sum()), f"{tiles.mean():.2f}, {np.mean(tiles >= threshold):.0%} hot, slide {whole:.2f}"


def main() -> None:
    """Print the lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds slides/")
    parser.add_argument("--work", type=Path, required=True, help="what prepare.py wrote")
    parser.add_argument("--model", type=Path, required=True, help="the model that was trained on all")
    chosen = parser.parse_args()
    blind: dict[str, Path] = {}
    for at, picture in enumerate(PICTURES):
        if picture.patient and picture.patient not in blind:
            blind[picture.patient] = without(picture.patient, chosen.work)
        count, told = reading(picture, chosen.model.absolute(), chosen.data, chosen.work / "drawn" / f"{at}-shipped")
        name = f"{picture.file} ({picture.truth}, {count} tiles): {told}"
        if picture.patient:
            model = blind[picture.patient]
            name += f"; without that patient {reading(picture, model, chosen.data, chosen.work / 'drawn' / f'{at}-unseen')[1]}"
        print(f"- {name}", flush=True)


if __name__ == "__main__":
    main()
