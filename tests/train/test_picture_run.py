"""A classifier of pictures from labels to a model folder that reads."""

import csv
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import yaml
from PIL import Image

from tests.encode import tiny
from tests.train.make_pictures import scene
from tests.train.test_finetune import write_base
from wsi.encode.load import load_encoder, load_network
from wsi.errors import LabelsError, UsageError
from wsi.model_folder import model_card
from wsi.predict.model import load_model
from wsi.train.checkpoint import Epoch, read_snapshot
from wsi.train.crossval import CHECKPOINT
from wsi.train.familiar import fit_familiar
from wsi.train.picture_audit import audit_pictures
from wsi.train.picture_folder import write_picture_model
from wsi.train.picture_network import as_head, classifier_of
from wsi.train.picture_run import PictureRun, final_fitting, plan_pictures, train_pictures
from wsi.train.picture_settings import PictureConfig
from wsi.train.picture_text import picture_text
from wsi.train.pictures import Picture, read_picture

COUNT = 36


def draw_pictures(folder: Path) -> Path:
    """Draw pictures with 0, 1 or 2 bright bars at their ends; grade is their number, `bars` whether there is one."""
    (folder / "pictures").mkdir(parents=True)
    rows = []
    for n in range(COUNT):
        grade = n % 3
        picture = scene(n)[:48, :40] // 2
        for top in (0, 42)[:grade]:
            picture[top : top + 6] = (250, 240, 60)
        Image.fromarray(picture).save(folder / "pictures" / f"p{n}.png")
        rows.append([f"p{n}", f"q{n}", str(grade), "yes" if grade else "no"])
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["image", "patient", "grade", "bars"], *rows])
    return folder


def settings(encoder: Path, **more: object) -> PictureConfig:
    colors = [[0, 0, 200], [200, 200, 0], [200, 0, 0]]
    told = {
        "encoder": str(encoder),
        "input": {
            "axes": 2,
            "channels": ["R", "G", "B"],
            "preprocess": [{"op": "resize@1", "px": [32, 32], "side": "exact"}],
            "window": [32, 32],
        },
        "asked": [
            {
                "column": "grade",
                "kind": "ordinal",
                "classes": [{"label": str(k), "name": f"{k} bars", "color": colors[k]} for k in range(3)],
            },
            {
                "column": "bars",
                "kind": "binary",
                "title": "Any bar",
                "classes": [
                    {"label": "no", "name": "none", "color": colors[0]},
                    {"label": "yes", "name": "some", "color": colors[2]},
                ],
            },
        ],
        "folds": 2,
        "fit": {"epochs": 16, "batch": 6, "learning_rate": 0.01, "precision": "fp32", "dropout": 0.0, "keep": 0.5},
        "views": {"turn": 0.0, "blur": 0.0, "scale": 0.0},
        "model": {"title": "Bars", "purpose": "To test", "licence": "CC0-1.0", "notes": ["Drawn with a ruler."]},
    }
    return PictureConfig.model_validate(yaml.safe_load(yaml.safe_dump({**told, **more})))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("encoders") / "base")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_pictures(tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="module")
def run(base: Path, drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> PictureRun:
    plan = plan_pictures(drawn / "labels.csv", drawn / "pictures", settings(base))
    return train_pictures(plan, tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def model(run: PictureRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("models") / "bars"
    write_picture_model(run, out, audit=audit_pictures(run))
    return out


def test_both_targets_are_learned_and_every_picture_is_held_out_once(run: PictureRun) -> None:
    kappa, auc = (learned.lines[0].figure for learned in run.learned)
    assert (kappa.name, auc.name) == ("Quadratic kappa", "AUC")
    assert auc.value is not None
    assert auc.value > 0.9
    assert kappa.value is not None
    assert kappa.value > 0.5
    assert all(learned.held.places.tolist() == list(range(COUNT)) for learned in run.learned)
    assert len(run.distances) == COUNT


def test_changed_pictures_are_figured_beside(run: PictureRun) -> None:
    over = [line.over for line in run.learned[1].lines]
    assert "held-out cases, redder" in over
    assert "held-out cases, of half the px" in over


def test_audit_holds_a_picture_or_two_at_a_time(run: PictureRun, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[weakref.ref[np.ndarray]] = []

    def watched(path: Path) -> Picture:
        picture = read_picture(path)
        held.append(weakref.ref(picture.pixels))
        assert sum(one() is not None for one in held) <= 2
        return picture

    monkeypatch.setattr("wsi.train.picture_audit.read_picture", watched)
    audit_pictures(run)
    assert len(held) == COUNT


def test_the_folder_reads_as_its_card_says(model: Path, run: PictureRun) -> None:
    card = model_card(model)
    assert card.encoder.name == "./encoder"
    assert [one.name for one in card.also] == ["bars"]
    assert card.thresholds == []
    assert card.also[0].thresholds[0].name == "balanced"
    loaded = load_model(model)
    encoder = load_encoder(str(model / "encoder"), device="cpu", precision="fp32", threads=1)
    features = encoder.encode(run.cases(range(COUNT)))
    encoder.close()
    said = np.stack([loaded.read(row[None]).probabilities for row in features])
    assert np.allclose(said.sum(axis=1), 1)
    means = [float((said[grade::3] @ np.arange(3)).mean()) for grade in range(3)]
    assert means == sorted(means)
    assert means[2] - means[0] > 0.1


def test_half_precision_is_what_the_rule_of_the_familiar_saw(model: Path, run: PictureRun) -> None:
    loaded = load_model(model)
    encoder = load_encoder(str(model / "encoder"), device="cpu", precision="fp32", threads=1)
    rows = encoder.encode(run.cases(range(COUNT)))
    encoder.close()
    distances = [loaded.distance(row[None]) or 0.0 for row in rows]
    rule = fit_familiar(rows.astype(np.float64), method="residual")
    assert rule is not None
    assert distances == pytest.approx(rule.distances(rows.astype(np.float64)), rel=1e-3)
    assert (model / "encoder" / "weights.safetensors").stat().st_size < 2.2 * sum(
        one.numel() for name, one in run.weights.items() if name.startswith("encoder.")
    )


def test_folder_without_anything_outside_of_the_axes_has_no_rule(run: PictureRun, tmp_path: Path) -> None:
    flat = replace(run, distances=run.distances * 1e-9)
    write_picture_model(flat, tmp_path / "flat")
    loaded = load_model(tmp_path / "flat")
    assert loaded.card.out_of_distribution is None
    assert loaded.distance(np.zeros((1, loaded.dim), np.float32)) is None


def test_a_fit_that_was_stopped_comes_to_the_same(base: Path, drawn: Path, run: PictureRun, tmp_path: Path) -> None:
    plan = plan_pictures(drawn / "labels.csv", drawn / "pictures", settings(base, shifts=False))
    seen: list[Epoch] = []

    def stop(part: str, epoch: Epoch) -> None:
        seen.append(epoch)
        if len(seen) == 11:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_pictures(plan, tmp_path, watch=stop)
    titled = settings(base, shifts=False, model={"title": "Other words", "purpose": "To test", "licence": "MIT"})
    again = train_pictures(plan_pictures(drawn / "labels.csv", drawn / "pictures", titled), tmp_path)
    assert len(seen) == 11, "what was trained isn't trained again for other words on the card"
    assert all(torch.equal(again.weights[name], one) for name, one in run.weights.items())


def test_copies_of_a_picture_are_never_on_two_sides(base: Path, drawn: Path, tmp_path: Path) -> None:
    folder = draw_pictures(tmp_path / "d")
    Image.open(folder / "pictures" / "p0.png").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(
        folder / "pictures" / "p3.png"
    )
    plan = plan_pictures(folder / "labels.csv", folder / "pictures", settings(base))
    patients = {case.id: case.patient for case in plan.cohort.cases}
    assert patients["p0"] == patients["p3"]
    assert len(set(patients.values())) == COUNT - 1


def test_a_picture_that_does_not_become_the_window_is_refused(base: Path, drawn: Path, tmp_path: Path) -> None:
    wrong = settings(base, input={"axes": 2, "channels": ["R", "G", "B"], "window": [32, 32]})
    plan = plan_pictures(drawn / "labels.csv", drawn / "pictures", wrong)
    with pytest.raises(LabelsError, match=r"p0: p0\.png: 40 x 48 px after preprocessing, expected 32 x 32"):
        train_pictures(plan, tmp_path)


def test_the_card_for_people_tells_data_folds_and_what_a_person_must_write(model: Path) -> None:
    text = (model / "README.md").read_text()
    assert "36 pictures of 36 patients" in text
    assert "12 0 bars, 12 1 bars, 12 2 bars" in text
    assert "2 folds by patient" in text
    assert "border color alone, as the files are" in text
    assert "Open: for a person to write" in text
    assert tiny.card().title not in text


def test_classifiers_over_an_encoder_that_stays_are_fitted_to_their_optimum(
    base: Path, drawn: Path, run: PictureRun, tmp_path: Path
) -> None:
    """What the folder says of a picture is what the regression says of the mean of its eight views."""
    told = settings(base, shifts=False, turns=True, fit={"train": "classifier", "ridge": 0.5, "precision": "fp32"})
    own = train_pictures(plan_pictures(drawn / "labels.csv", drawn / "pictures", told), tmp_path / "run")
    before = load_network(str(base), None)[1].state_dict()
    assert all(torch.equal(own.weights[f"encoder.{name}"], one) for name, one in before.items())
    auc = own.learned[1].lines[0].figure.value
    assert auc is not None
    assert auc > 0.9

    write_picture_model(own, tmp_path / "bars")
    encoder = load_encoder(str(tmp_path / "bars" / "encoder"), device="cpu", precision="fp32", threads=1)
    pictures = own.cases(range(COUNT))
    rows = encoder.encode(pictures)
    assert np.allclose(rows, encoder.encode(pictures[:, ::-1, ::-1]), atol=1e-4)
    assert "mean of eight turns" in encoder.identity.pooling
    encoder.close()
    model = load_model(tmp_path / "bars")
    bars = np.array([model.read_also(row[None])[0][1] for row in rows])
    has_bar = np.arange(COUNT) % 3 > 0
    assert bars[has_bar].mean() > bars[~has_bar].mean() + 0.3
    text = (tmp_path / "bars" / "README.md").read_text()
    assert "The encoder stays as it was; regression with a ridge of 0.5" in text
    assert "read in quarter turns and mirrored as well: the model says the mean of the eight views" in text


def test_hidden_layers_over_all_layers_of_an_encoder_speak_together(base: Path, drawn: Path, tmp_path: Path) -> None:
    """The folder's logits are the mean of the folds'; what the encoder says is of all its layers."""
    fit = {
        "train": "classifier",
        "hidden": 16,
        "epochs": 30,
        "learning_rate": 0.003,
        "dropout": 0.2,
        "precision": "fp32",
    }
    plan = plan_pictures(drawn / "labels.csv", drawn / "pictures", settings(base, shifts=False, layers=True, fit=fit))
    own = train_pictures(plan, tmp_path / "run")
    auc = own.learned[1].lines[0].figure.value
    assert auc is not None
    assert auc > 0.9
    assert all(
        torch.equal(again, own.weights[name])
        for name, again in train_pictures(plan, tmp_path / "again").weights.items()
    )

    card = write_picture_model(own, tmp_path / "bars")
    encoder = load_encoder(str(tmp_path / "bars" / "encoder"), device="cpu", precision="fp32", threads=1)
    rows = encoder.encode(own.cases(range(COUNT)))
    encoder.close()
    assert (encoder.identity.pooling, rows.shape[1]) == ("layers", plan.card.dim)
    assert plan.card.dim == 3 * tiny.DIM * 2, "mean, spread and middle of each of two blocks"
    assert card.out_of_distribution is None or card.out_of_distribution.limit > 0
    folds = []
    for k, fold in enumerate(plan.splits.folds, start=1):
        kept = read_snapshot(tmp_path / "run" / "folds" / str(k) / CHECKPOINT, key=plan.key(fold))
        assert kept is not None
        folds.append(classifier_of(kept.best, 1, plan.tasks[1], plan.card.dim))
    head = as_head(final_fitting(own).network.classifiers[1], plan.tasks[1], plan.card.dim)
    assert head.spec.hidden == 32
    with torch.inference_mode():
        bag = torch.from_numpy(rows[:1])
        expected = torch.stack([one(bag)[0] for one in folds]).mean(dim=0)
        torch.testing.assert_close(head.read(bag).logits, expected, rtol=1e-4, atol=1e-4)
    stored = safetensors.torch.load_file(tmp_path / "bars" / "weights.safetensors")
    assert stored["also.bars.embed.weight"].dtype == torch.float16
    torch.testing.assert_close(stored["also.bars.embed.weight"].float(), head.embed.weight, rtol=1e-3, atol=1e-6)
    model = load_model(tmp_path / "bars")
    bars = np.array([model.read_also(row[None])[0][1] for row in rows])
    has_bar = np.arange(COUNT) % 3 > 0
    assert bars[has_bar].mean() > bars[~has_bar].mean() + 0.3
    text = (tmp_path / "bars" / "README.md").read_text()
    assert "over it a hidden layer of 16 a fold, 30 epochs" in text
    assert "mean of the 2 networks' logits" in text
    assert f"The encoder says {plan.card.dim} numbers: mean, spread and middle of each of its layers' maps" in text


def test_hidden_layer_needs_an_encoder_that_stays(base: Path) -> None:
    with pytest.raises(ValueError, match="hidden: only over an encoder that stays as it is"):
        settings(base, fit={"train": "all", "hidden": 16})


@pytest.mark.parametrize(
    ("positive", "told"), [("sme", "one of none, some"), ("none", "write the positive class last")]
)
def test_positive_class_is_the_last_of_two(base: Path, positive: str, told: str) -> None:
    asked = settings(base).model_dump(mode="json")["asked"]
    asked[1]["positive"] = "some"
    assert settings(base, asked=asked).asked[1].positive == "some"
    asked[1]["positive"] = positive
    with pytest.raises(ValueError, match=told):
        settings(base, asked=asked)


def test_rule_that_no_threshold_follows_is_refused(base: Path) -> None:
    asked = settings(base).model_dump(mode="json")["asked"]
    asked[1]["rule"] = "sensitivity>0.9"
    with pytest.raises(ValueError, match="expected one like youden, sensitivity>="):
        settings(base, asked=asked)


def test_the_card_for_people_tells_which_decision_could_not_be_made(model: Path, run: PictureRun) -> None:
    bars = run.learned[1]
    unmet = replace(bars, decisions=replace(bars.decisions, lacking="no threshold reaches specificity>=0.99"))
    text = picture_text(replace(run, learned=(run.learned[0], unmet)), model_card(model), ())
    assert "Any bar: could not be chosen as asked: no threshold reaches specificity>=0.99." in text


@pytest.mark.parametrize("change", [{"pooling": "mean"}, {"prefix_tokens": 0}, {"transform": None}])
def test_fold_is_trained_anew_when_the_encoder_reads_otherwise(run: PictureRun, change: dict[str, object]) -> None:
    card, fold = run.plan.card, run.plan.splits.folds[0]
    if "transform" in change:
        change = {"transform": card.transform.model_copy(update={"mean": (0.1, 0.2, 0.3)})}
    other = replace(run.plan, card=card.model_copy(update=change))
    assert other.key(fold) != run.plan.key(fold)
    assert replace(run.plan, card=card.model_copy(update={"title": "Another"})).key(fold) == run.plan.key(fold)


def test_hidden_layers_of_more_bytes_than_are_read_are_refused(
    base: Path, drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = settings(base, layers=True, fit={"train": "classifier", "hidden": 4096})
    plan = plan_pictures(drawn / "labels.csv", drawn / "pictures", told)
    both = 2 * 2 * 4096 * plan.card.dim * 4  # of two targets and two folds, in float32
    monkeypatch.setattr("wsi.train.model_size.MAX_BYTES", both)
    with pytest.raises(UsageError, match=r"lower fit\.hidden, or make fewer folds"):
        plan_pictures(drawn / "labels.csv", drawn / "pictures", told)
    plan_pictures(drawn / "labels.csv", drawn / "pictures", told, with_model=False)
