"""The training loop: what it learns, what a step is, and that a rerun gives the same bytes."""

import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.train.drawn import DIM, Bags, draw_bags, two_classes
from tests.traps import CHECKOUT
from wsi.errors import UsageError
from wsi.mil import GatedAttention, HeadSpec, OrderedCuts
from wsi.train.checkpoint import Epoch
from wsi.train.loop import Cases, Fit, keep_cuts_in_order, read_logits
from wsi.train.recipe import Recipe, rate_at
from wsi.train.start import fit_standard, start_head
from wsi.train.tasks import Task, loss_mass, loss_sum

SPEC = HeadSpec(hidden=8, width=4, dropout=0.1)
TWO = Task("binary", ("no", "yes"))
FAST = Recipe(epochs=12, patience=0, batch=4, learning_rate=0.02, warmup=0.1)


def fit(
    cases: Cases, path: Path, recipe: Recipe = FAST, *, task: Task = TWO, spec: HeadSpec = SPEC, seed: int = 1
) -> tuple[Fit, tuple[Epoch, ...]]:
    places = list(range(len(cases.labels)))
    cut = 2 * len(places) // 3
    made = Fit(start_head(spec, DIM, seed=seed), task, recipe, cases, places[:cut], places[cut:], seed)
    return made, made.run(path, key="k")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_shares_of_features_are_taken_on_a_gpu(tmp_path: Path) -> None:
    cases, recipe = two_classes(12), FAST.model_copy(update={"device": "cuda", "precision": "fp32", "epochs": 1})
    made = Fit(start_head(SPEC, DIM, seed=1), TWO, recipe, cases, range(12), (), 1, np.full(DIM, 2.0))
    made.run(tmp_path / "checkpoint", key="k")
    plain = start_head(SPEC, DIM, seed=1)
    fit_standard(plain, cases.read, range(12))
    assert torch.allclose(made.head.norm.std.cpu() * 2, plain.norm.std)


def test_tumor_in_half_of_the_tiles_is_learned(tmp_path: Path) -> None:
    cases = two_classes(36)
    made, epochs = fit(cases, tmp_path / "c")
    assert epochs[-1].validation_loss < 0.3 < epochs[0].validation_loss
    logits = read_logits(made.head, cases.read, range(24, 36))[:, 0].numpy()
    assert ((logits > 0) == (cases.labels[24:, 0] == 1)).mean() >= 11 / 12


def test_step_is_one_step_down_the_gradient_of_the_padded_batch(tmp_path: Path) -> None:
    cases = two_classes(6)
    task = replace(TWO, weights=(0.5, 1.5))
    spec = replace(SPEC, dropout=0.0)
    recipe = Recipe(epochs=1, batch=6, learning_rate=0.01, warmup=0.0, weight_decay=0.0, clip=None, schedule="constant")
    made = Fit(start_head(spec, DIM, seed=1), task, recipe, cases, range(6), [], seed=1)
    made.run(tmp_path / "c", key="k")

    other = start_head(spec, DIM, seed=1)
    fit_standard(other, cases.read, range(6))
    longest = max(len(cases.read(i)) for i in range(6))
    bags, mask = torch.zeros(6, longest, DIM), torch.zeros(6, longest, dtype=torch.bool)
    for i in range(6):
        bags[i, : len(cases.read(i))] = torch.from_numpy(cases.read(i))
        mask[i, : len(cases.read(i))] = True
    chances = torch.sigmoid(other(bags, mask)[0][:, 0])
    wanted = torch.from_numpy(cases.labels[:, 0])
    losses = -torch.where(wanted == 1, chances.log() * 1.5, (1 - chances).log() * 0.5)
    (losses.sum() / (3 * 0.5 + 3 * 1.5)).backward()
    for ours, theirs in zip(made.head.parameters(), other.parameters(), strict=True):
        assert theirs.grad is not None
        gradient = made.optimizer.state[ours]["exp_avg"] / (1 - 0.9)  # after one step from nothing
        torch.testing.assert_close(gradient, theirs.grad, atol=1e-6, rtol=1e-5)
        step = 0.01 * gradient / (gradient.abs() + 1e-8)  # AdamW's first
        torch.testing.assert_close(ours.detach(), theirs.detach() - step, atol=1e-6, rtol=1e-5)


def test_cox_batch_is_one_loss_over_all_its_bags(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    risk = rng.normal(0, 1, 60)
    labels = np.stack([rng.exponential(np.exp(-2 * risk)), np.ones(60)], axis=1)
    task = Task("survival")
    spec = replace(SPEC, kind="survival")
    cases = Cases(draw_bags(2 * risk, tiles=(2, 4), share=1.0), labels)
    made, epochs = fit(cases, tmp_path / "c", FAST.model_copy(update={"batch": 20}), task=task, spec=spec)
    assert epochs[-1].validation_loss < epochs[0].validation_loss
    hazards = read_logits(made.head, cases.read, range(40, 60))[:, 0].numpy()
    assert np.corrcoef(hazards, risk[40:])[0, 1] > 0.6


def test_time_bins_start_from_the_hazards_of_the_training_cases(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    labels = np.stack([rng.exponential(10, 60), np.ones(60)], axis=1)
    task, spec = Task("survival", edges=(1.0, 2.0)), replace(SPEC, kind="survival", cuts=3)
    cases = Cases(draw_bags(np.zeros(60)), labels)
    made, _ = fit(
        cases, tmp_path / "c", FAST.model_copy(update={"epochs": 1, "learning_rate": 1e-6}), task=task, spec=spec
    )
    said = torch.sigmoid(made.head.get_submodule("classifier").get_parameter("bias")).detach().numpy()
    times = labels[:40, 0]
    hazards = [(times <= 1).mean(), ((times > 1) & (times <= 2)).sum() / (times > 1).sum(), 1.0]
    np.testing.assert_allclose(said, hazards, atol=0.02)


def test_rerun_gives_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    cases = two_classes(12)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        fit(cases, tmp_path / name, FAST.model_copy(update={"instances": 4, "epochs": 3}), seed=seed)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_seed_decides_the_order_of_the_bags(tmp_path: Path) -> None:
    cases = two_classes(12)
    spec, recipe = replace(SPEC, dropout=0.0), FAST.model_copy(update={"epochs": 1, "batch": 2})
    for seed in (1, 2):
        Fit(start_head(spec, DIM, seed=0), TWO, recipe, cases, range(12), [], seed=seed).run(
            tmp_path / str(seed), key="k"
        )
    assert (tmp_path / "1").read_bytes() != (tmp_path / "2").read_bytes()


def test_bytes_depend_neither_on_the_threads_of_the_machine_nor_on_the_hashes(tmp_path: Path) -> None:
    code = (
        "import sys, torch; from pathlib import Path; from tests.train.test_loop import FAST, fit, two_classes; "
        "torch.set_num_threads(int(sys.argv[2])); torch.rand(int(sys.argv[2])); before = torch.rand(1); "
        "fit(two_classes(12), Path(sys.argv[1]), FAST.model_copy(update={'epochs': 2})); "
        "assert torch.get_num_threads() == int(sys.argv[2])"
    )
    fit(two_classes(12), tmp_path / "here", FAST.model_copy(update={"epochs": 2}))
    environment = {**os.environ, "PYTHONHASHSEED": "3", "OMP_NUM_THREADS": "3"}
    subprocess.run([sys.executable, "-c", code, tmp_path / "there", "3"], env=environment, cwd=CHECKOUT, check=True)
    assert (tmp_path / "here").read_bytes() == (tmp_path / "there").read_bytes()


def test_caller_keeps_its_random_state(tmp_path: Path) -> None:
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    fit(two_classes(6), tmp_path / "c", FAST.model_copy(update={"epochs": 1}))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not torch.are_deterministic_algorithms_enabled()


def test_training_stops_when_the_validation_loss_no_longer_falls_and_the_best_weights_stay(tmp_path: Path) -> None:
    cases = two_classes(24, strength=0.0)  # nothing to learn: the validation loss soon rises
    recipe = FAST.model_copy(update={"epochs": 60, "patience": 3, "schedule": "constant"})
    made, epochs = fit(cases, tmp_path / "c", recipe)
    losses = [epoch.validation_loss for epoch in epochs]
    assert len(losses) < 60
    assert len(losses) - 1 - int(np.argmin(losses)) == 3
    logits = read_logits(made.head, cases.read, range(16, 24))
    labels = torch.from_numpy(cases.labels[16:])
    assert float(loss_sum(logits, labels, TWO)) / loss_mass(labels, TWO) == pytest.approx(min(losses), rel=1e-6)


def test_case_without_a_label_is_never_read(tmp_path: Path) -> None:
    cases = two_classes(9)
    cases.labels[[1, 7]] = math.nan
    read: set[int] = set()

    def watched(i: int) -> np.typing.NDArray[np.float32]:
        read.add(i)
        return cases.read(i)

    _, epochs = fit(Cases(watched, cases.labels), tmp_path / "c", FAST.model_copy(update={"epochs": 1}))
    assert read == set(range(9)) - {1, 7}
    assert math.isfinite(epochs[0].validation_loss)


def test_drawn_tiles_are_those_of_the_bag_and_differ_between_epochs() -> None:
    cases = two_classes(2)
    big = Bags((np.arange(40, dtype=np.float32).reshape(8, DIM), cases.read(1)))
    made = Fit(start_head(SPEC, DIM, seed=0), TWO, Recipe(instances=4), Cases(big, cases.labels), [0, 1], [], seed=0)
    drawn = [made._drawn(0, epoch)[:, 0].tolist() for epoch in range(8)]
    assert all(len(set(tiles)) == 4 and tiles == sorted(tiles) for tiles in drawn)
    assert all(set(tiles) <= set(big(0)[:, 0].tolist()) for tiles in drawn)
    assert len({tuple(tiles) for tiles in drawn}) > 4


class WithAside(GatedAttention):
    """A head that adds to the loss what its attention's bias alone tells."""

    def forward_to_train(self, features: Tensor, mask: Tensor | None, labels: Tensor) -> tuple[Tensor, Tensor]:
        assert features.ndim == 3
        assert labels.shape == (len(features), 1)
        return self(features, mask)[0], (self.attention.tanh.bias**2).sum() * 100


def test_what_a_head_adds_to_the_loss_is_learned(tmp_path: Path) -> None:
    cases = two_classes(6)
    bias = []
    for kind in (GatedAttention, WithAside):
        torch.manual_seed(0)
        head = kind(SPEC, DIM)
        Fit(head, TWO, FAST, cases, range(6), [], seed=0).run(tmp_path / kind.__name__, key="k")
        bias.append(float(head.attention.tanh.bias.detach().abs().max()))
    assert bias[1] < 0.02 < bias[0]


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_learns_too(precision: str, tmp_path: Path) -> None:
    recipe = FAST.model_copy(update={"precision": precision})
    made, epochs = fit(two_classes(24), tmp_path / "c", recipe)
    assert epochs[-1].train_loss < 0.5 < epochs[0].train_loss
    assert all(weight.dtype is torch.float32 for weight in made.head.parameters())


def test_training_that_runs_off_is_told_with_the_next_step(tmp_path: Path) -> None:
    recipe = FAST.model_copy(update={"learning_rate": 1e30, "clip": None, "warmup": 0.0})
    with pytest.raises(UsageError, match="lower learning_rate"):
        fit(two_classes(12), tmp_path / "c", recipe)


def test_cuts_of_ordered_grades_fall_after_every_step() -> None:
    head = start_head(replace(SPEC, kind="ordinal", classes=4), DIM, seed=0)
    assert isinstance(head, GatedAttention)
    assert isinstance(head.classifier, OrderedCuts)
    with torch.no_grad():
        head.classifier.bias.copy_(torch.tensor([0.5, 1.0, -1.0]))
    keep_cuts_in_order(head)
    assert head.classifier.bias.tolist() == [0.5, 0.5, -1.0]


def test_standard_counts_cases_alike_and_leaves_constant_features() -> None:
    bags = Bags((np.array([[0.0, 7], [2, 7]], np.float32), np.array([[5.0, 7]] * 8, np.float32)))
    head = start_head(SPEC, 2, seed=0)
    fit_standard(head, bags, [0, 1])
    assert head.norm.mean.tolist() == [3.0, 7.0]  # (1 + 5) / 2
    assert head.norm.std.tolist() == pytest.approx([math.sqrt((2 + 25) / 2 - 9), 1.0])


def test_learning_rate_rises_then_falls_along_half_a_wave() -> None:
    recipe = Recipe(learning_rate=1.0, warmup=0.2)
    rates = [rate_at(step, 10, recipe) for step in range(10)]
    expected = [0.5, 1.0, *((1 + math.cos(math.pi * k / 8)) / 2 for k in range(8))]
    assert rates == pytest.approx(expected)
    constant = recipe.model_copy(update={"schedule": "constant"})
    assert [rate_at(step, 10, constant) for step in (0, 2, 9)] == [0.5, 1.0, 1.0]
