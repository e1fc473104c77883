"""What every head promises, whatever it is made of; and how a package adds one."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.traps import environment
from wsi.errors import EmptyBagError, UsageError
from wsi.mil import HEADS, Head, HeadSpec, Kind, make_head
from wsi.train.start import start_logits

HUGE = Path(__file__).parents[1] / "mil" / "huge.py"
DIM, SIZES, MOST = 6, (3, 9, 1, 14), 16
CUTS = 3
SPECS = [
    HeadSpec(name, kind, 2 if kind == "binary" else 3, cuts, hidden=8, width=4, heads=2, landmarks=4, instances=2)
    for name, head in HEADS.items()
    for kind in head.kinds
    for cuts in ((0, CUTS) if kind == "survival" else (0,))
]
BINARY = [spec for spec in SPECS if spec.kind == "binary"]


def claim_of(spec: HeadSpec) -> str:
    return f"{spec.aggregate}-{spec.kind}{spec.cuts or ''}"


every_head = pytest.mark.parametrize("spec", SPECS, ids=claim_of)
every_name = pytest.mark.parametrize("spec", BINARY, ids=claim_of)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def drawn(spec: HeadSpec) -> Head:
    """Return a head whose every number is drawn, in float64."""
    torch.manual_seed(7)
    made = make_head(spec, DIM).double()
    with torch.no_grad():
        for name, tensor in made.state_dict().items():
            fresh = torch.randn(tensor.shape, dtype=torch.float64)
            tensor.copy_(fresh.abs() + 0.5 if name == "norm.std" else fresh)
    return made.eval()


def bag(n: int, seed: int = 0) -> Tensor:
    return torch.randn(n, DIM, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def padded(filler: float) -> tuple[Tensor, Tensor]:
    """Return bags of several sizes `(B, N, D)` and the mask of their real tiles."""
    features = torch.full((len(SIZES), MOST, DIM), filler, dtype=torch.float64)
    mask = torch.zeros(len(SIZES), MOST, dtype=torch.bool)
    for i, n in enumerate(SIZES):
        features[i, :n], mask[i, :n] = bag(n, seed=i), True
    return features, mask


def labels_of(spec: HeadSpec, bags: int) -> Tensor:
    places = torch.arange(bags) % spec.classes
    if spec.kind == "multilabel":
        return torch.nn.functional.one_hot(places, spec.classes).double()
    return places[:, None].double()


@every_head
def test_logits_and_attention_have_the_shapes_that_the_spec_tells(spec: HeadSpec) -> None:
    expected = {"binary": 1, "multiclass": 3, "multilabel": 3, "ordinal": 2, "regression": 1, "survival": 1}
    c = spec.cuts or expected[spec.kind]
    made, features = drawn(spec), torch.stack([bag(5), bag(5, seed=1)])
    logits, attention = made(features)
    reading = made.read(features[0])
    assert spec.outputs == c
    assert logits.shape == (2, c)
    assert (attention is not None) == made.attends
    assert (reading.logits.shape, reading.attention.shape, reading.tile_logits.shape) == ((c,), (5,), (5, c))


@every_head
@pytest.mark.parametrize("block", [1, 4, 1000])
@pytest.mark.parametrize("n", [1, 2, 5, 23])
def test_read_gives_what_forward_gives(spec: HeadSpec, n: int, block: int) -> None:
    made, features = drawn(spec), bag(n)
    logits, attention = made(features[None])
    reading = made.read(features, block=block)
    assert torch.allclose(reading.logits, logits[0], rtol=1e-9, atol=1e-9)
    if attention is not None:
        assert torch.allclose(reading.attention.double(), attention[0], atol=1e-6)


@every_head
def test_a_tiles_logits_are_those_of_a_bag_of_it_alone(spec: HeadSpec) -> None:
    made, features = drawn(spec), bag(7)
    alone = torch.cat([made(tile[None, None])[0] for tile in features])
    assert torch.allclose(made.read(features, block=3).tile_logits, alone, atol=1e-10)


@every_head
def test_attention_is_no_less_than_nothing_and_sums_to_one(spec: HeadSpec) -> None:
    made = drawn(spec)
    for n in (1, 2, 30):
        found = made.read(bag(n), block=8).attention
        assert found.min() >= 0
        assert float(found.double().sum()) == pytest.approx(1, abs=1e-6)


@every_head
def test_another_order_of_the_tiles_changes_nothing_where_the_head_says_so(spec: HeadSpec) -> None:
    made, features, order = drawn(spec), bag(30), torch.randperm(30, generator=torch.Generator().manual_seed(1))
    one, other = made.read(features, block=7), made.read(features[order], block=7)
    alike = torch.allclose(one.logits, other.logits, atol=1e-9)
    assert alike == made.any_order
    if made.any_order:
        assert torch.allclose(one.attention[order], other.attention, atol=1e-6)
    assert torch.allclose(one.tile_logits[order], other.tile_logits, atol=1e-10)


@every_head
@pytest.mark.parametrize("filler", [0.0, 1e9, float("nan"), float("inf")])
def test_padding_changes_nothing_whatever_lies_on_it(spec: HeadSpec, filler: float) -> None:
    made, (features, mask) = drawn(spec), padded(filler)
    logits, attention = made(features, mask)
    for i, n in enumerate(SIZES):
        alone, seen = made(bag(n, seed=i)[None])
        assert torch.allclose(logits[i], alone[0], rtol=1e-9, atol=1e-9)
        if attention is not None:
            assert torch.allclose(attention[i, :n], seen[0], atol=1e-9)
    assert attention is None or (attention[~mask] == 0).all()


@every_head
def test_masked_tiles_anywhere_change_nothing(spec: HeadSpec) -> None:
    made, features = drawn(spec), bag(12)
    mask = torch.rand(12, generator=torch.Generator().manual_seed(2)) < 0.6
    logits, attention = made(features[None], mask[None])
    alone, seen = made(features[mask][None])
    assert torch.allclose(logits, alone, rtol=1e-9, atol=1e-9)
    if attention is not None:
        assert torch.allclose(attention[0, mask], seen[0], atol=1e-9)


@every_name
@pytest.mark.parametrize("n", [0, 3])
def test_a_bag_without_a_real_tile_is_refused(spec: HeadSpec, n: int) -> None:
    made, mask = drawn(spec), torch.zeros(1, n, dtype=torch.bool)
    with pytest.raises(EmptyBagError, match="no tile"):
        made(bag(n)[None], mask)
    with pytest.raises(EmptyBagError, match="no tile"):
        made.read(bag(0))
    if n:
        both = torch.cat([torch.ones_like(mask), mask])
        with pytest.raises(EmptyBagError, match="no tile"):
            made(torch.stack([bag(n), bag(n)]), both)
    with pytest.raises(EmptyBagError, match="no tile"):
        made.forward_to_train(bag(n)[None], mask, labels_of(spec, 1))


@every_head
def test_gradients_are_finite_reach_every_weight_and_never_the_padding(spec: HeadSpec) -> None:
    made, (features, mask) = drawn(spec).train(), padded(float("nan"))
    features.requires_grad_()
    logits, extra = made.forward_to_train(features, mask, labels_of(spec, len(SIZES)))
    (logits.square().sum() + extra).backward()
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0 or name.endswith("attention.score.bias"), name
    assert features.grad is not None
    assert (features.grad[~mask] == 0).all()
    assert features.grad[mask].abs().sum() > 0


@every_head
def test_a_head_learns_by_the_logits_that_it_reads_with(spec: HeadSpec) -> None:
    made, (features, mask) = drawn(spec), padded(0.0)
    logits, extra = made.forward_to_train(features, mask, labels_of(spec, len(SIZES)))
    assert torch.equal(logits, made(features, mask)[0])
    assert extra.ndim == 0


@every_name
def test_gradients_are_those_of_finite_differences(spec: HeadSpec) -> None:
    made = drawn(spec)
    features, mask = bag(12).reshape(2, 6, DIM).requires_grad_(), torch.arange(6)[None] < torch.tensor([[6], [4]])
    assert torch.autograd.gradcheck(lambda x: made(x, mask)[0], (features,))


@every_name
def test_a_head_in_eval_mode_drops_nothing(spec: HeadSpec) -> None:
    torch.manual_seed(0)
    made, features = make_head(HeadSpec(spec.aggregate, hidden=8, width=4, heads=2, dropout=0.5), DIM), bag(9).float()
    assert not torch.equal(made(features[None])[0], made(features[None])[0])
    made.eval()
    assert torch.equal(made(features[None])[0], made(features[None])[0])


@every_head
def test_the_same_seed_makes_the_same_head_and_its_weights_make_it_again(spec: HeadSpec) -> None:
    torch.manual_seed(3)
    one = make_head(spec, DIM)
    torch.manual_seed(3)
    other = make_head(spec, DIM)
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))
    torch.manual_seed(4)
    loaded = make_head(spec, DIM)
    loaded.load_state_dict(one.state_dict(), strict=True)
    features = bag(9).float()
    assert torch.equal(one.eval().read(features).logits, loaded.eval().read(features).logits)


@pytest.mark.parametrize("spec", [spec for spec in SPECS if spec.cuts], ids=claim_of)
def test_logits_that_a_head_starts_from_are_those_of_a_bag_that_tells_nothing(spec: HeadSpec) -> None:
    head, wanted = drawn(spec), torch.tensor([-2.0, 0.5, 3.0], dtype=torch.float64)
    start_logits(head, wanted)
    for name in head.logit_layers:
        torch.nn.init.zeros_(head.get_submodule(name).get_parameter("weight"))
    logits, _ = head(bag(5)[None])
    torch.testing.assert_close(logits[0], wanted)


@every_name
def test_training_on_bag_labels_tells_bags_with_a_telling_tile_from_bags_without(spec: HeadSpec) -> None:
    torch.manual_seed(3)
    features, labels = torch.randn(40, 12, DIM), torch.arange(40)[:, None] % 2
    features[labels[:, 0] == 1, 4, 0] += 8  # the fifth tile of each positive bag
    made = make_head(HeadSpec(spec.aggregate, hidden=16, width=8, heads=2, instances=2), DIM)
    optimizer = torch.optim.Adam(made.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        logits, extra = made.forward_to_train(features, None, labels.float())
        torch.autograd.backward(torch.nn.functional.binary_cross_entropy_with_logits(logits, labels.float()) + extra)
        optimizer.step()
    with torch.no_grad():
        logits, _ = made.eval()(features)
    assert ((logits > 0) == labels.bool()).float().mean() > 0.95


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel", "ordinal", "regression", "survival"])
def test_a_head_for_every_kind_of_target_is_made_or_refused_with_the_kinds_it_is_for(kind: Kind) -> None:
    made = 0
    for name, head in HEADS.items():
        spec = HeadSpec(name, kind, hidden=8, heads=2)
        if kind in head.kinds:
            made += make_head(spec, DIM).spec is spec
        else:
            with pytest.raises(UsageError, match=f"a {name} head is for binary, .* targets, found {kind}"):
                make_head(spec, DIM)
    assert made >= 5


def test_a_wrong_name_offers_the_near_one() -> None:
    with pytest.raises(
        UsageError, match=r"no head is called 'gated-atention'; known: mean, .* Did you mean 'gated-attention'\?"
    ):
        make_head(HeadSpec("gated-atention"), DIM)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"hidden": 0}, "hidden must be at least 1, found 0"),
        ({"instances": 0}, "instances must be at least 1"),
        ({"dropout": 1.0}, "dropout must be at least 0 and under 1"),
        ({"instance_weight": -1.0}, "instance_weight must be at least 0"),
        ({"instance_weight": float("nan")}, "instance_weight must be at least 0"),
        ({"activation": "rely"}, r"activation is one of relu, tanh, identity; found 'rely'. Did you mean 'relu'"),
        ({"instance_loss": "svm"}, "instance_loss is one of smooth-svm, cross-entropy"),
        ({"kind": "ordered"}, "a target is one of binary"),
        ({"classes": 3}, "a binary head can't have 3 classes"),
        ({"cuts": 4}, "a binary head can't have 4 time bins"),
        ({"kind": "survival", "cuts": -1}, "can't have -1 time bins"),
    ],
)
def test_a_spec_that_no_head_can_have_is_refused(changes: dict[str, object], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        HeadSpec(**changes)  # type: ignore[arg-type]


def test_a_hidden_width_that_the_heads_cant_share_is_refused() -> None:
    with pytest.raises(UsageError, match="hidden 10 can't be shared by 4 heads; take a multiple of 4"):
        make_head(HeadSpec("transmil", hidden=10, heads=4), DIM)


PLUGIN = "wsi_test_plugin_of_heads"
CODE = """
from wsi.mil import MeanPool

class Sharp(MeanPool):
    def score(self, embedded):
        return embedded.sum(dim=-1)

class NoHead:
    pass
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that offers a head, as far as Python can tell."""
    (tmp_path / f"{PLUGIN}.py").write_text(CODE)
    info = tmp_path / f"{PLUGIN}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PLUGIN}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[wsi.heads]\nsharp = {PLUGIN}:Sharp\nblunt = {PLUGIN}:NoHead\nmean = {PLUGIN}:Sharp\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, PLUGIN, raising=False)


def test_a_head_of_a_package_is_made_by_its_name(installed: None) -> None:
    made, features = make_head(HeadSpec("sharp", "multiclass", 3, hidden=8), DIM).eval(), bag(9).float()
    assert type(made).__name__ == "Sharp"
    reading = made.read(features, block=2)
    embedded = torch.relu(made.embed(features))
    assert torch.allclose(reading.attention, torch.softmax(embedded.sum(dim=1), dim=0), atol=1e-6)


def test_a_package_cant_take_the_name_of_a_head_that_is_here(installed: None) -> None:
    assert type(make_head(HeadSpec("mean", hidden=8), DIM)) is HEADS["mean"]


def test_what_a_package_offers_must_be_a_head(installed: None) -> None:
    with pytest.raises(
        UsageError, match=r"wsi\.heads: 'blunt' names .*NoHead.*, expected a subclass of wsi\.mil\.Head"
    ):
        make_head(HeadSpec("blunt"), DIM)


@pytest.fixture(scope="module")
def huge(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, float]]:
    """What each head took and found of a huge bag."""
    ended = subprocess.run(
        [sys.executable, HUGE, *HEADS],
        # Large blocks by themselves: else glibc's heap has holes, by chance larger than the bag.
        env={**environment(tmp_path_factory.mktemp("home")), "MALLOC_MMAP_THRESHOLD_": "1048576"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return {found["head"]: found for found in map(json.loads, ended.stdout.splitlines())}


@pytest.mark.slow
@pytest.mark.parametrize("name", HEADS)
def test_200_000_tiles_are_read_in_bounded_memory(name: str, huge: dict[str, dict[str, float]]) -> None:
    found = huge[name]
    assert found["tiles"] == 200_000
    assert found["finite"]
    assert found["attention_sum"] == pytest.approx(1, abs=1e-4)
    assert found["extra_bytes"] < 5e8, "the bag by itself would take 8e8"
