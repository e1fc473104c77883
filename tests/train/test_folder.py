"""Model folders of every kind of target, read by the room that runs them."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.train.drawn import draw_bags
from tests.train.studies import cohort_of, config, study_of, write_cohort
from tests.train.test_figures import LEVELS, TARGETS
from wsi.card import ModelCard
from wsi.errors import UsageError
from wsi.predict.model import load_model
from wsi.train.card_head import colors, cox_baseline
from wsi.train.crossval import run_folds
from wsi.train.familiar import familiar_limit, fit_familiar, limit_of
from wsi.train.figures import make_figures
from wsi.train.final import Final, make_final, voters
from wsi.train.folder import encoded_with, write_model
from wsi.train.heldout import hold_out
from wsi.train.model_size import check_members
from wsi.train.run import Asked, plan
from wsi.train.seal import Fold
from wsi.train.study import Study

BAGS = draw_bags(3 * LEVELS, share=1.0, tiles=(2, 4))


def folder_of(kind: str, path: Path, **changes: Any) -> tuple[Study, Final, ModelCard, Path]:
    target, columns = TARGETS[kind]
    cohort = cohort_of(path / "cohort", BAGS, columns, target=target)
    merged: dict[str, Any] = {"fit": {"epochs": 2, "batch": 9}, "splits": {"folds": 2}, **changes}
    study = study_of(cohort, config(**merged))
    results = run_folds(study, path / "run")
    held = hold_out(study, results)
    final = make_final(study, results, path / "run")
    card = write_model(study, final, held, make_figures(study, held), path / "model")
    return study, final, card, path / "model"


@pytest.mark.parametrize("kind", TARGETS)
def test_folder_of_every_kind_is_run_at_once_and_reproduces_its_selftest(kind: str, tmp_path: Path) -> None:
    study, final, card, out = folder_of(kind, tmp_path)
    assert sorted(p.name for p in out.iterdir()) == [
        "README.md",
        "model.yaml",
        "selftest.safetensors",
        "weights.safetensors",
    ]
    model = load_model(out)
    assert model.card == card
    assert (card.head.type, card.head.members) == (kind, 2)
    assert card.training.data_digest == study.data_digest
    assert card.training.split_digest == study.splits.digest
    reading = model.read(BAGS(0))
    assert len(reading.attention) == len(BAGS(0))
    logits = torch.stack([head.read(torch.from_numpy(BAGS(0))).logits for head in final.heads])
    if kind == "binary":
        chances = torch.sigmoid(logits[:, 0] / card.calibration.temperature + card.calibration.bias)
        assert reading.probabilities[1] == pytest.approx(float(chances.mean()), abs=1e-5)
    assert model.distance(BAGS(0)) is not None


@pytest.mark.parametrize("head", ["mean", "max", "clam-sb", "clam-mb", "dsmil", "transmil"])
def test_folder_of_every_head_is_run_at_once(head: str, tmp_path: Path) -> None:
    section = {"aggregate": head, "heads": 2, "landmarks": 2, "dropout": 0.1, "instances": 1}
    _, _, card, out = folder_of("binary", tmp_path, head=section, fit={"epochs": 1, "batch": 18})
    assert load_model(out).card.head.aggregate == head == card.head.aggregate


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("ordinal", {"target": {"link": "corn"}}),
        ("survival", {"target": {"bins": 3}}),
        ("survival", {"model": {"final": "refit"}}),
        ("binary", {"model": {"final": "refit"}}),
        ("survival", {"head": {"aggregate": "dsmil"}}),
    ],
)
def test_other_links_bins_and_refits_are_run_at_once(kind: str, changes: dict[str, Any], tmp_path: Path) -> None:
    _, final, card, out = folder_of(kind, tmp_path, **changes)
    assert load_model(out).card == card
    assert len(final.heads) == (1 if "model" in changes else 2)


def test_same_study_gives_the_same_bytes(tmp_path: Path) -> None:
    _, _, _, out = folder_of("binary", tmp_path / "a")
    _, _, _, again = folder_of("binary", tmp_path / "b")
    for name in ("weights.safetensors", "selftest.safetensors", "model.yaml", "README.md"):
        assert (out / name).read_bytes() == (again / name).read_bytes()


def test_cox_heads_that_vote_say_nothing_of_their_mean_training_case(tmp_path: Path) -> None:
    study, final, card, _ = folder_of("survival", tmp_path)
    for head, fold in zip(final.heads, study.splits.folds, strict=True):
        said = [float(head.read(torch.from_numpy(BAGS(i))).logits[0]) for i in fold.train]
        assert np.mean(said) == pytest.approx(0, abs=1e-4)
    assert card.head.survival is not None
    assert card.head.survival.baseline == sorted(card.head.survival.baseline, reverse=True)
    assert card.head.survival.baseline[0] < 1


def test_cox_baseline_without_differences_is_the_nelson_aalen_estimate() -> None:
    labels = np.array([[1.0, 1], [2, 0], [3, 1], [3, 1], [5, 1]])
    times, baseline = cox_baseline(labels, np.zeros(5))
    rises = {1.0: 1 / 5, 3.0: 2 / 3, 5.0: 1.0}
    expected = [math.exp(-sum(rise for t, rise in rises.items() if t <= time)) for time in times]
    assert set(times) <= {1.0, 3.0, 5.0}
    assert baseline == pytest.approx(expected, abs=1e-6)


def test_card_for_people_tells_figures_and_what_is_open(tmp_path: Path) -> None:
    _, _, card, out = folder_of("binary", tmp_path, model={"data": ["drawn"], "data_licences": ["CC0-1.0"]})
    text = (out / "README.md").read_text()
    assert "Research use only" in text
    assert "36 cases of 36 patients" in text
    assert f"| held-out cases | AUC | {next(e for e in card.evaluation if e.metric == 'AUC').value:.3f}"[:40] in text
    assert "baseline: mean pooling" in text
    assert "TRIPOD+AI" in text
    assert "CC0-1.0" in text


def test_card_for_people_tells_which_decision_could_not_be_made(tmp_path: Path) -> None:
    study, final, _, _ = folder_of("binary", tmp_path)
    held = hold_out(study, run_folds(study, tmp_path / "run"))
    unmet = replace(final, decisions=replace(final.decisions, lacking="no threshold reaches specificity>=0.99"))
    write_model(study, unmet, held, make_figures(study, held), tmp_path / "unmet")
    assert "no threshold reaches specificity>=0.99" in (tmp_path / "unmet" / "README.md").read_text()


def test_more_folds_than_can_vote_are_refused_before_any_is_trained(tmp_path: Path) -> None:
    bags = draw_bags(np.zeros(66), tiles=(1, 2))
    asked = Asked(*write_cohort(tmp_path, bags, {"y": ["a", "b"] * 33}), "y")
    alone = {"splits": {"scheme": "leave-one-out"}}
    with pytest.raises(UsageError, match=r"66 folds: .* at most 64 heads that vote; set model\.final: refit"):
        plan(asked, config(**alone), with_model=True)
    plan(asked, config(**alone), with_model=False)
    refit = plan(asked, config(**alone, model={"final": "refit"}), with_model=True)
    assert len(refit.study.splits.folds) == 66
    repeated = config(splits={"scheme": "repeated-k-fold", "folds": 2, "repeats": 40})
    assert voters(plan(asked, repeated, with_model=True).study) == 2, "the folds of the first repeat vote"


def test_code_of_a_class_that_the_target_lacks_is_refused(tmp_path: Path) -> None:
    asked = Asked(*write_cohort(tmp_path, draw_bags(np.zeros(12)), {"y": ["normal", "tumor"] * 6}), "y")
    plan(asked, config(model={"codes": {"tumor": "SCT:108369006"}}), with_model=True)
    with pytest.raises(UsageError, match=r"no class 'Tumour'; its classes: normal, tumor\. Did you mean 'tumor'"):
        plan(asked, config(model={"codes": {"Tumour": "SCT:108369006"}}), with_model=True)


def test_link_of_grades_is_refused_for_a_target_without_them(tmp_path: Path) -> None:
    asked = Asked(*write_cohort(tmp_path, draw_bags(np.zeros(12)), {"y": ["normal", "tumor"] * 6}), "y")
    with pytest.raises(UsageError, match=r"target 'y' is binary: target\.link corn is for ordered grades"):
        plan(asked, config(target={"link": "corn"}), with_model=True)


def test_search_of_heads_that_are_to_vote_is_refused_before_any_is_trained(tmp_path: Path) -> None:
    asked = Asked(*write_cohort(tmp_path, draw_bags(np.zeros(12)), {"y": ["normal", "tumor"] * 6}), "y")
    with pytest.raises(UsageError, match=r"only heads of one shape can vote; set model\.final: refit"):
        plan(asked, config(search={"trials": 2}), with_model=True)
    plan(asked, config(search={"trials": 2}), with_model=False)
    plan(asked, config(search={"trials": 2}, model={"final": "refit"}), with_model=True)


def test_grades_in_order_of_their_names_are_warned_of(tmp_path: Path) -> None:
    files = write_cohort(tmp_path, draw_bags(np.zeros(18)), {"g": ["low", "mid", "high"] * 6})
    warned = plan(Asked(*files, "g:ordinal"), config(), with_model=True).briefing.warnings
    assert any("in the order of their names: high, low, mid" in one for one in warned)
    named = plan(Asked(*files, "g:ordinal:low,mid,high"), config(), with_model=True).briefing.warnings
    assert not any("order of their names" in one for one in named)


def test_heads_of_more_bytes_than_are_read_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study, _, _, out = folder_of("binary", tmp_path, head={"aggregate": "transmil", "heads": 2, "landmarks": 2})
    check_members(study)
    monkeypatch.setattr("wsi.train.model_size.MAX_BYTES", (out / "weights.safetensors").stat().st_size - 1)
    with pytest.raises(UsageError, match=r"lower head\.hidden, set model\.final: refit, or make fewer folds"):
        check_members(study)


def test_features_without_an_encoder_need_its_name(tmp_path: Path) -> None:
    study, _, _, _ = folder_of("binary", tmp_path)
    study.bags._first = replace(study.bags._first, identity=None)  # type: ignore[type-var]
    with pytest.raises(UsageError, match="--encoder"):
        encoded_with(study)
    named = study.config.model_copy(
        update={"model": study.config.model.model_copy(update={"encoder": "mobilenetv2-imagenet"})}
    )
    with pytest.raises(UsageError, match="gives features of 1280"):
        encoded_with(Study(study.cohort, study.target, study.splits, named, study.task, study.bags))


def test_familiar_rule_whitens_the_mean_features() -> None:
    rng = np.random.default_rng(2)
    rows = rng.normal(0, 1, (400, 3)) @ np.diag([5.0, 1.0, 0.2]) + 7
    rule = fit_familiar(rows)
    assert rule is not None
    assert (rule.distances(rows) ** 2).mean() == pytest.approx(399 / 400, rel=1e-9)  # whitened: variance 1 an axis
    assert rule.distances(rows.mean(axis=0)[None] + [[50.0, 0, 0]])[0] == pytest.approx(10 / math.sqrt(3), rel=0.1)
    folds = [
        Fold("a", tuple(range(200)), (), tuple(range(200, 400))),
        Fold("b", tuple(range(200, 400)), (), tuple(range(200))),
    ]
    limit = familiar_limit(rows, folds, share=0.95)
    assert limit is not None
    assert 1.2 < limit < 1.9  # sqrt(chi2_3 at 0.95 / 3) = 1.61
    assert fit_familiar(np.ones((5, 3))) is None
    outside = fit_familiar(np.pad(rows, ((0, 0), (0, 7))), method="residual")
    assert outside is not None
    assert outside.distances(np.pad(rows, ((0, 0), (0, 7)))) == pytest.approx(np.zeros(400), abs=1e-9)
    assert outside.distances(np.eye(10)[4:6] * 6 + np.pad(rows[:2], ((0, 0), (0, 7)))) == pytest.approx([6, 6])
    assert familiar_limit(np.ones((400, 3)), folds, share=0.95) is None


def test_limit_of_nothing_outside_is_no_limit() -> None:
    assert limit_of(np.full(400, 2e-4), share=0.95) is None, "a card's limit is positive, and this one would say 0"
    assert limit_of([], share=0.95) is None
    assert limit_of(np.arange(101) / 100, share=0.95) == 0.95


def test_colors_differ_and_two_are_blue_and_red() -> None:
    assert colors(2) == [(64, 128, 192), (200, 40, 40)]
    assert len(set(colors(7))) == 7
    assert colors(0) == []
