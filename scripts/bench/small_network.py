"""A small network from scratch, minutes of CPU: what a model of pictures must be better than, on the same folds.

    python scripts/bench/small_network.py LABELS FOLDER -c configs/skin.yaml --run RUN

LABELS, FOLDER and the settings are those of `wsi-run finetune`, RUN the folder it kept its folds in. Four convolutions of
3 x 3 with batch normalization, trained on pictures of 64 px, turned and mirrored at random; each fold is read by the
network of the others, from all eight sides. Once as the model's card prepares pictures, and once without what takes away the light's
color, where a network can read from it where a picture was taken. Figures are AUC over all folds (DeLong's interval).
"""

import csv
from pathlib import Path

import numpy as np
import torch
from form import Claim, arguments, close, table
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, binary_cross_entropy_with_logits

from wsi.card import AcceptsField
from wsi.config import read_yaml
from wsi.encode.build import TURNS, turned
from wsi.evaluate.compare import compare_models
from wsi.train.picture_cases import PictureCases
from wsi.train.picture_run import PicturePlan, plan_pictures
from wsi.train.picture_settings import PictureConfig

SIDE_PX, WIDTH = 64, 32
EPOCHS, BATCH, RATE, DECAY, DROPOUT = 30, 32, 3e-3, 0.05, 0.3
SHIFT_PX = 4
COLOR_STEPS = ("shades-of-gray@1",)


def main() -> None:
    """Train, print the table, exit 1 when the model isn't above."""
    parser = arguments(__doc__)
    parser.add_argument("labels", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-c", "--config", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True, help="the folder that finetune kept its folds in")
    chosen = parser.parse_args()
    config = read_yaml(chosen.config, PictureConfig)
    plan = plan_pictures(chosen.labels, chosen.folder, config)
    if config.asked[0].kind != "binary":
        parser.error(f"{chosen.config}: asks for {config.asked[0].kind}; only binary targets are compared")
    labels = plan.studies[0].labels[:, 0]
    if np.isnan(labels).any():
        parser.error(f"{chosen.labels}: {config.asked[0].column} isn't told of every picture")
    patients = [case.patient for case in plan.cohort.cases]
    model = held_out(chosen.run / config.asked[0].slug / "predictions.csv", plan)
    steps = config.input.preprocess
    inputs = {"as the card prepares them": config.input}
    if any(step.op in COLOR_STEPS for step in steps):
        kept = [step for step in steps if step.op not in COLOR_STEPS]
        inputs["in their own colors"] = config.input.model_copy(update={"preprocess": kept})
    rows, claims = [], []
    for name, accepts in inputs.items():
        small = over_folds(pictures(plan, accepts), torch.from_numpy(labels).float(), plan)
        found = compare_models(labels, (model, small), patients=patients)
        rows.append((name, found.second.text(), found.first.text(), found.difference.text()))
        assert found.difference.value is not None
        claims.append(Claim(f"AUC, small network {name} less the model", -found.difference.value, 0.0))
    print(table(("pictures of the small network", "small network", "model", "model less small network"), rows))
    close(claims, chosen.json)


def held_out(path: Path, plan: PicturePlan) -> np.ndarray:
    """Return what the model's folds say of the pictures that they didn't see, before calibration, `(cases,)`."""
    positive = plan.tasks[0].classes[1]
    with path.open(newline="", encoding="utf-8") as file:
        told = {row["case"]: float(row[f"uncalibrated p {positive}"]) for row in csv.DictReader(file)}
    return np.array([told[case.id] for case in plan.cohort.cases])


def pictures(plan: PicturePlan, accepts: AcceptsField) -> Tensor:
    """Return all pictures, `(cases, 3, SIDE_PX, SIDE_PX)`, each color over all of mean 0 and deviation 1."""
    cases = PictureCases(plan.cohort, accepts, side_px=plan.config.side_px)
    images = torch.from_numpy(cases(range(len(plan.cohort)))).permute(0, 3, 1, 2).float()
    small = adaptive_avg_pool2d(images, SIDE_PX)
    return (small - small.mean((0, 2, 3), keepdim=True)) / small.std((0, 2, 3), keepdim=True)


def over_folds(images: Tensor, labels: Tensor, plan: PicturePlan) -> np.ndarray:
    """Return the logit of each picture, by the network of the folds that it isn't in."""
    found = np.zeros(len(labels))
    for fold in plan.splits.folds:
        test = list(fold.test)
        found[test] = trained(images, labels, list(fold.train))(images[test])
        print(f"{fold.name}: read", flush=True)
    return found


def trained(images: Tensor, labels: Tensor, train: list[int]) -> "Small":
    """Return the network after the last epoch; positives and negatives count alike."""
    torch.manual_seed(0)
    network = Small()
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)
    steps = EPOCHS * -(-len(train) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    balance = (len(train) - labels[train].sum()) / labels[train].sum()
    for _ in range(EPOCHS):
        network.layers.train()
        order = torch.tensor(train)[torch.randperm(len(train))]
        for batch in torch.split(order, BATCH):
            view = turned(images[batch], TURNS[int(torch.randint(len(TURNS), ()))])
            view = view.roll(torch.randint(-SHIFT_PX, SHIFT_PX + 1, (2,)).tolist(), (2, 3))
            logits = network.layers(view)[:, 0]
            optimizer.zero_grad()
            torch.autograd.backward(binary_cross_entropy_with_logits(logits, labels[batch], pos_weight=balance))
            optimizer.step()
            schedule.step()
    return network


class Small:
    """Images `(B, 3, h, w)` to logits `(B,)`, the mean over all eight sides of each."""

    def __init__(self) -> None:
        layers: list[nn.Module] = []
        before = 3
        for width in (WIDTH, 2 * WIDTH, 4 * WIDTH, 4 * WIDTH):
            convolution = nn.Conv2d(before, width, 3, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2)]
            before = width
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(DROPOUT), nn.Linear(before, 1)]
        self.layers = nn.Sequential(*layers).to(memory_format=torch.channels_last)
        self.parameters = self.layers.parameters

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> np.ndarray:
        self.layers.eval()
        said = torch.stack([self.layers(turned(images, turn))[:, 0] for turn in TURNS])
        found: np.ndarray = said.mean(dim=0).numpy()
        return found


if __name__ == "__main__":
    main()
