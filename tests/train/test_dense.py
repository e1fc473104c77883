"""Claims about training a model of masks: drawn discs are learned, patients stay apart, a rerun gives the same bytes."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from wsi.card import MaskCard
from wsi.errors import ArtifactError, LabelsError, LeakError, UsageError
from wsi.model_folder import any_card
from wsi.predict.mask_model import load_mask_model
from wsi.segment.loss import IGNORED
from wsi.train.dense_cases import find_examples, prepare
from wsi.train.dense_plan import fingerprint, planned, spec_of, window_of
from wsi.train.dense_run import train_masks
from wsi.train.dense_settings import MaskConfig
from wsi.train.dense_study import plan_masks
from wsi.train.dense_views import Views, drawn_window
from wsi.train.picture_shifts import SHIFTS


def settings(**more: Any) -> MaskConfig:
    """Return settings of a network that learns discs in seconds."""
    told = {
        "data": {"patient": r"^p(\d+)"},
        "structures": [{"name": "disc", "color": [255, 0, 0], "unit": "px"}],
        "network": {"widths": [4, 8], "stem": 2},
        "fit": {"epochs": 12, "windows": 6, "batch": 4, "learning_rate": 0.02, "precision": "fp32", "keep": 0.8},
        "views": {"flips": [0, 1], "noise": 0.0, "gamma": 0.0},
        "folds": 2,
    }
    return MaskConfig.model_validate({**told, **more})


def draw_discs(folder: Path, *, patients: int = 4, side: int = 32) -> Path:
    """Write two pictures with a bright disc for each patient, and their masks, into one folder."""
    rng = np.random.default_rng(0)
    folder.mkdir(exist_ok=True)
    for patient in range(patients):
        for eye in "LR":
            y, x = np.indices((side, side))
            disc = np.hypot(*((y, x) - rng.uniform(10, 22, 2)[:, None, None])) <= rng.uniform(4, 8)
            shade = 90 + 80 * disc + rng.normal(0, 5, (side, side))
            rgb = (shade.clip(0, 255)[..., None] * (1.0, 0.8, 0.6)).astype(np.uint8)
            Image.fromarray(rgb).save(folder / f"p{patient}{eye}.png")
            Image.fromarray((disc * 255).astype(np.uint8)).save(folder / f"p{patient}{eye}_mask.png")
    return folder


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_discs(tmp_path_factory.mktemp("discs"))


@pytest.fixture(scope="module")
def made(discs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the run and the model of a small study."""
    folder = tmp_path_factory.mktemp("made")
    train_masks(plan_masks(discs, discs, settings()), folder / "run", out=folder / "model")
    return folder


def test_discs_of_patients_it_never_saw_are_found(made: Path) -> None:
    card = any_card(made / "model")
    dice = next(one for one in card.evaluation if one.metric == "Dice")
    assert dice.value > 0.85
    assert dice.n == 8
    assert dice.low is not None


def test_model_folder_keeps_the_schema_and_half_precision(made: Path) -> None:
    card = any_card(made / "model")
    assert isinstance(card, MaskCard)
    tensors = load_file(made / "model" / "weights.safetensors")
    assert card.id == "model"
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    assert {path.name for path in (made / "model").iterdir()} == {
        "model.yaml", "README.md", "weights.safetensors", "selftest.safetensors",
    }  # fmt: skip


def test_model_that_is_handed_on_names_no_image(made: Path, discs: Path) -> None:
    ids = [one.id.encode() for one in plan_masks(discs, discs, settings()).examples]
    for path in (made / "model").iterdir():
        assert not [name for name in ids if name in path.read_bytes()], path.name


def test_rerun_gives_the_same_bytes(made: Path, discs: Path, tmp_path: Path) -> None:
    train_masks(plan_masks(discs, discs, settings()), tmp_path / "run", out=tmp_path / "model")
    for name in ("weights.safetensors", "model.yaml", "README.md", "selftest.safetensors"):
        assert (tmp_path / "model" / name).read_bytes() == (made / "model" / name).read_bytes(), name


def test_stopped_fit_goes_on_as_if_nothing_had_been(made: Path, discs: Path, tmp_path: Path) -> None:
    class Stop(Exception):  # noqa: N818
        pass

    class Stopping:
        def epoch(self, part: str, epoch: Any) -> None:
            if part == "fold 2" and epoch.number == 5:
                raise Stop

        def tested(self, part: str, rows: Any) -> None: ...

    plan = plan_masks(discs, discs, settings())
    with pytest.raises(Stop):
        train_masks(plan, tmp_path / "run", out=None, told=Stopping())
    train_masks(plan, tmp_path / "run", out=tmp_path / "model")
    name = "weights.safetensors"
    assert (tmp_path / "model" / name).read_bytes() == (made / "model" / name).read_bytes()


def test_folds_are_sealed_before_training_and_hold_patients_apart(made: Path, discs: Path) -> None:
    plan = plan_masks(discs, discs, settings())
    assert (made / "run" / "splits.json").is_file()
    for fold in plan.splits.folds:
        sides = [{plan.examples[i].patient for i in side} for side in (fold.train, fold.test)]
        assert not sides[0] & sides[1]


def test_folder_of_another_study_is_refused(made: Path, tmp_path: Path) -> None:
    other = draw_discs(tmp_path / "other", patients=3)
    with pytest.raises(ArtifactError):
        train_masks(plan_masks(other, other, settings()), made / "run", out=None)


def test_held_out_scores_are_told_image_by_image(made: Path) -> None:
    lines = (made / "run" / "held-out.csv").read_text().splitlines()
    assert len(lines) == 9
    assert lines[0].startswith("fold,image,patient,structure,dice")


def test_held_out_share_is_tested_and_its_network_kept(discs: Path, tmp_path: Path) -> None:
    config = settings(scheme="holdout", holdout=0.25, final="tested")
    config = config.model_copy(update={"fit": config.fit.model_copy(update={"epochs": 1})})
    done = train_masks(plan_masks(discs, discs, config), tmp_path / "run", out=tmp_path / "model")
    assert len(done.rows) == 2
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["holdout.safetensors"]
    assert "is the one that was tested" in (tmp_path / "model" / "README.md").read_text()


def test_members_are_trained_from_seeds_of_their_own_and_vote(discs: Path, tmp_path: Path) -> None:
    fit = {"epochs": 2, "batch": 4, "learning_rate": 0.02, "precision": "fp32"}
    models = []
    for seed, members in ((0, 2), (0, 1), (1, 1)):
        network = {"widths": [4, 8], "stem": 2, "members": members}
        config = settings(network=network, fit=fit, scheme="holdout", final="tested", seed=seed)
        plan = replace(plan_masks(discs, discs, settings(scheme="holdout")), config=config)
        plan = replace(plan, config=planned(config, plan.found))
        models.append(tmp_path / f"seed-{seed}-of-{members}")
        train_masks(plan, tmp_path / f"run-{seed}-{members}", out=models[-1])
    both, *alone = (load_file(model / "weights.safetensors") for model in models)
    for place, one in enumerate(alone):
        assert {f"members.{place}.{name}" for name in one} == {n for n in both if n.startswith(f"members.{place}.")}
        assert all(torch.equal(both[f"members.{place}.{name}"], tensor) for name, tensor in one.items())
    assert load_mask_model(models[0], device="cpu").card.network.members == 2
    assert {path.name for path in (tmp_path / "run-0-2" / "checkpoints").iterdir()} == {
        "holdout.safetensors", "holdout-member-2.safetensors",
    }  # fmt: skip
    text = (models[0] / "README.md").read_text()
    assert "One network of 2 members that vote, tested on 2 images" in text
    assert "Seed 0 to 1" in text


def test_shifted_pictures_are_tested_one_a_patient_and_told(made: Path) -> None:
    card = any_card(made / "model")
    shifted = {one.metric: one for one in card.evaluation if one.metric.startswith("Dice (")}
    assert set(shifted) == {f"Dice ({name})" for name in SHIFTS}
    assert all(one.n == 4 for one in shifted.values())
    assert shifted["Dice (of half the px)"].value > 0.7  # compared on the grid of the file
    assert "Dice (darker), disc" in (made / "model" / "README.md").read_text()


def test_image_without_a_mask_is_named(discs: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(discs, tmp_path / "some")
    (folder / "p0L_mask.png").unlink()
    with pytest.raises(LabelsError, match=r"p0L\.png has no mask"):
        find_examples(folder, folder, settings())


def test_masks_may_lie_in_another_folder_under_the_same_name(tmp_path: Path) -> None:
    folder = draw_discs(tmp_path / "both")
    (tmp_path / "masks").mkdir()
    for path in folder.glob("*_mask.png"):
        path.rename(tmp_path / "masks" / path.name.replace("_mask", ""))
    found = find_examples(folder, tmp_path / "masks", settings())
    assert [one.id for one in found][:2] == ["p0L", "p0R"]
    assert found[0].patient == found[1].patient == "0"


def test_mask_called_exactly_as_an_image_is_no_other_images(tmp_path: Path) -> None:
    images, masks = draw_discs(tmp_path / "both", patients=1), tmp_path / "masks"
    masks.mkdir()
    (images / "p0R.png").rename(images / "p0L_2.png")
    (images / "p0R_mask.png").rename(masks / "p0L_2.png")
    (images / "p0L_mask.png").rename(masks / "p0L.png")
    found = find_examples(images, masks, settings())
    assert [(one.image.name, one.mask.name) for one in found] == [("p0L.png", "p0L.png"), ("p0L_2.png", "p0L_2.png")]


def test_one_image_of_two_patients_is_a_leak(tmp_path: Path) -> None:
    folder = draw_discs(tmp_path / "both")
    shutil.copy(folder / "p0L.png", folder / "p1L.png")
    with pytest.raises(LeakError):
        find_examples(folder, folder, settings())


def test_mask_with_a_value_of_no_structure_is_refused(tmp_path: Path) -> None:
    folder = draw_discs(tmp_path / "both")
    config = settings(structures=[{"name": n, "color": [0, 0, 0], "unit": "px"} for n in ("a", "b")])
    example = find_examples(folder, folder, config)[0]
    with pytest.raises(LabelsError, match="holds 255"):
        prepare(example, planned(config, fingerprint([example])))


def test_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    folder = draw_discs(tmp_path / "both")
    Image.new("L", (9, 9)).save(folder / "p0L_mask.png")
    example = find_examples(folder, folder, settings())[0]
    with pytest.raises(LabelsError, match="its image has"):
        prepare(example, planned(settings(), fingerprint([example])))


def test_what_the_settings_leave_out_is_planned_from_the_data(tmp_path: Path) -> None:
    for name, step in (("a", 1.0), ("b", 1.5), ("c", 1.5)):
        for folder in ("images", "labels"):
            (tmp_path / folder).mkdir(exist_ok=True)
            values = np.zeros((20, 30, 24), np.int16 if folder == "images" else np.uint8)
            values[5 : ord(name) - 80] = 1
            nib.save(nib.Nifti1Image(values, np.diag([step, 1, 1, 1])), tmp_path / folder / f"p{ord(name)}.nii.gz")
    config = settings(network={"stem": 2})
    plan = plan_masks(tmp_path / "images", tmp_path / "labels", config)
    assert plan.config.input is not None
    assert [step.op for step in plan.config.input.preprocess] == [
        "orient@1", "resample@1", "clip-percentiles@1", "z-score@1",
    ]  # fmt: skip
    assert plan.config.input.step == [1.5, 1.0, 1.0]
    assert spec_of(plan.config).axes == 3
    assert all(side % spec_of(plan.config).multiple == 0 for side in window_of(plan.config))


def test_axis_that_pictures_do_not_have_is_refused_before_training(discs: Path) -> None:
    with pytest.raises(UsageError, match=r"flips names each of the axes 0 to 1 at most once, found \[0, 2\]"):
        plan_masks(discs, discs, settings(network={"widths": [4, 8], "flips": [0, 2]}))


def test_unit_that_pictures_do_not_have_is_refused_before_training(discs: Path) -> None:
    disc = {"name": "disc", "color": [255, 0, 0], "unit": "ml"}
    with pytest.raises(UsageError, match="disc: an amount in ml, but pictures are told in px, mm2 or share"):
        plan_masks(discs, discs, settings(structures=[disc]))


@pytest.mark.parametrize(("given", "overlap"), [({}, 0.5), ({"overlap": 0.0}, 0.0), ({"overlap": 0.25}, 0.25)])
def test_overlap_of_windows_that_are_planned_is_what_the_settings_say(
    discs: Path, given: dict[str, float], overlap: float
) -> None:
    config = settings(input={"axes": 2, "channels": ["R", "G", "B"], **given})
    plan = plan_masks(discs, discs, config)
    assert plan.config.input is not None
    assert plan.config.input.window is not None
    assert plan.config.input.overlap == overlap


def test_plan_of_turned_volumes_names_the_steps_after_they_were_turned(tmp_path: Path) -> None:
    sagittal = np.array([[0, 0, 3.0, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])  # slices 3 mm apart, to the right
    for folder, kind in (("images", np.int16), ("labels", np.uint8)):
        (tmp_path / folder).mkdir()
        for name in ("a", "b"):
            values = np.zeros((24, 20, 8), kind)
            values[4 : ord(name) - 85] = 1
            nib.save(nib.Nifti1Image(values, sagittal), tmp_path / folder / f"{name}.nii.gz")
    plan = plan_masks(tmp_path / "images", tmp_path / "labels", settings(data={}, network={"stem": 2}))
    seen = prepare(plan.examples[0], plan.config).grid
    assert plan.config.input is not None
    assert plan.config.input.step == [3.0, 1.0, 1.0]
    assert seen.steps == (3.0, 1.0, 1.0)
    assert plan.found.shape == seen.shape == (8, 24, 20)


def still(**more: Any) -> Views:
    """Return views that leave an image as it is, but for what is given."""
    none = {"turn": 0, "scale": 0, "contrast": 0, "brightness": 0, "gamma": 0, "noise": 0, "blur": 0, "centered": 0}
    return Views.model_validate({**none, **more})


@pytest.mark.parametrize("shape", [(16, 24), (8, 12, 10)])
def test_view_that_changes_nothing_is_the_image(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    values, labels = rng.normal(size=(2, *shape)).astype(np.float32), rng.integers(0, 3, shape).astype(np.uint8)
    seen, truth = drawn_window(values, labels, shape, still(), np.random.default_rng(1))
    assert np.allclose(seen.numpy(), values, atol=1e-4)
    assert (truth.numpy() == labels).all()


def test_beyond_the_border_nothing_is_asked() -> None:
    values, labels = np.ones((1, 8, 8), np.float32), np.ones((8, 8), np.uint8)
    seen, truth = drawn_window(values, labels, (16, 16), still(), np.random.default_rng(0))
    assert (truth == IGNORED).sum() == 16 * 16 - 64
    assert (truth[4:12, 4:12] == 1).all()
    assert float(seen.sum()) == pytest.approx(64)


@pytest.mark.parametrize("axes", [2, 3])
def test_image_and_labels_move_together(axes: int) -> None:
    grid = np.indices((32,) * axes)
    blob = np.sqrt(((grid - 14) ** 2).sum(0)) <= 7
    views = still(turn=40, scale=0.2, flips=list(range(axes)))
    for seed in range(5):
        seen, truth = drawn_window(
            blob[None].astype(np.float32), blob.astype(np.uint8), (24,) * axes, views, np.random.default_rng(seed)
        )
        inside = truth != IGNORED
        assert float((((seen[0] > 0.5) == (truth == 1)) | ~inside).float().mean()) > 0.97


def test_views_of_another_seed_are_others_and_of_the_same_the_same() -> None:
    values, labels = np.random.default_rng(0).normal(size=(1, 32, 32)).astype(np.float32), np.ones((32, 32), np.uint8)
    one, two, other = (drawn_window(values, labels, (16, 16), Views(), np.random.default_rng(s))[0] for s in (3, 3, 4))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"threshold": 0.5}, "threshold is for one structure, found 2"),
        ({"postprocess": [{"op": "largest-component@1", "structures": ["ring"]}]}, "postprocess names ring"),
    ],
)
def test_settings_that_the_card_would_refuse_are_refused(wrong: dict[str, Any], told: str) -> None:
    two = [{"name": name, "color": [9, 9, 9]} for name in ("disc", "dot")]
    with pytest.raises(ValueError, match=told):
        settings(structures=two, **wrong)
