"""Model folders that are damaged or mean harm: each is refused with a code, and nothing in it is ever run."""

import hashlib
import json
import os
import pickle
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from safetensors.numpy import load_file, save, save_file

from tests.predict import folders
from tests.traps import environment
from wsi.card_head import MAX_BYTES
from wsi.errors import EncoderMismatchError, ModelError, WeightsError
from wsi.model_folder import find_folder, model_card
from wsi.predict.model import load_model

RULE = {"method": "mahalanobis", "limit": 2.0, "chosen_by": "hand"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return folders.write_folder(tmp_path / "model", folders.tensors(), folders.card())


def edit_card(folder: Path, **changes: object) -> None:
    """Change fields of the card; a.b names a field inside a field."""
    path = folder / "model.yaml"
    fields = yaml.safe_load(path.read_text())
    for name, value in changes.items():
        *outer, last = name.split("__")
        place = fields
        for key in outer:
            place = place.setdefault(key, {})
        place[last] = value
    path.write_text(yaml.safe_dump(fields, sort_keys=False))


def put_weights(folder: Path, content: bytes) -> None:
    """Replace the weights by any bytes, and have the card vouch for them."""
    (folder / "weights.safetensors").write_bytes(content)
    edit_card(folder, weights_sha256=hashlib.sha256(content).hexdigest())


def refused(folder: Path, match: str, error: type[ModelError] = WeightsError) -> None:
    with pytest.raises(error, match=match) as caught:
        load_model(str(folder))
    assert type(caught.value) is error


def with_header(header: object, body: bytes = b"", *, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def one_tensor(**about: object) -> bytes:
    return with_header({"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **about}}, bytes(8))


def test_the_folder_of_these_tests_is_good(folder: Path) -> None:
    assert load_model(str(folder)).dim == folders.DIM


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.7, 0.999])
def test_truncated_weights_are_refused_even_when_the_card_vouches_for_them(folder: Path, share: float) -> None:
    content = (folder / "weights.safetensors").read_bytes()
    put_weights(folder, content[: int(share * len(content))])
    refused(folder, r"weights\.safetensors: .*(damaged|not a whole safetensors file)")


def test_weights_of_another_sha256_are_refused(folder: Path) -> None:
    path = folder / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    refused(folder, r"weights\.safetensors: sha256 [0-9a-f]{64}, the card says [0-9a-f]{64}; get the folder again")


@pytest.mark.parametrize(
    "content",
    [
        with_header({}, length=2**63),
        with_header({}, length=2**40),
        with_header(b"{" + b" " * (17 << 20) + b"}"),
        with_header(b"[" * 100_000),
        with_header(b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
        with_header(b"{not json}"),
        with_header(b'{"x": 1}'),
        one_tensor(shape=[2**62, 4]),
        one_tensor(shape=[-2]),
        one_tensor(shape=[3]),
        one_tensor(data_offsets=[0, 2**50]),
        one_tensor(data_offsets=[8, 0]),
        one_tensor(data_offsets=[4, 8]),
        one_tensor(dtype="OBJECT"),
        with_header({n: {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} for n in "ab"}, bytes(8)),
        b"\x80\x04" + bytes(100),
        b"PK\x03\x04" + bytes(100),
    ],
    ids=range(17),
)
def test_absurd_headers_are_refused(folder: Path, content: bytes) -> None:
    put_weights(folder, content)
    refused(folder, r"weights\.safetensors: ")


@pytest.mark.parametrize("dtype", ["F8_E8M0", "F4", "F8_E4M3", "C64", "BOOL", "I64", "U16"])
def test_tensors_of_other_types_are_refused(folder: Path, dtype: str) -> None:
    bits = {"F4": 4, "C64": 64, "I64": 64, "U16": 16}.get(dtype, 8)
    header, body = {}, b""
    for name, array in folders.tensors().items():
        part = bytes(array.size * bits // 8)
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [len(body), len(body) + len(part)]}
        body += part
    put_weights(folder, with_header(header, body))
    refused(folder, r"weights\.safetensors: .*(type|safetensors|std)")


def test_weights_stored_in_half_precision_are_used(folder: Path) -> None:
    weights = {name: array.astype(np.float16) for name, array in folders.tensors().items()}
    put_weights(folder, save(weights))
    told = folders.expected_probabilities(weights, folders.bag(5), folders.card())
    edit_card(folder, selftest__probability=told.tolist())
    assert load_model(str(folder)).dim == folders.DIM


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e300])
@pytest.mark.parametrize("name", ["embed.weight", "norm.mean", "classifier.bias"])
def test_numbers_that_are_not_finite_are_refused(folder: Path, name: str, value: float) -> None:
    weights: folders.Arrays = {n: array.astype(np.float64) for n, array in folders.tensors().items()}
    weights[name].flat[-1] = value
    put_weights(folder, save(weights))
    refused(folder, f"{name} holds NaN or infinity")


@pytest.mark.parametrize("name", sorted(folders.tensors()))
def test_a_missing_tensor_is_named(folder: Path, name: str) -> None:
    weights = folders.tensors()
    del weights[name]
    put_weights(folder, save(weights))
    refused(folder, rf"missing.*{name}|{name} is missing")


@pytest.mark.parametrize("name", ["hook.weight", "embed.weight2", "members.0.embed.weight", "__metadata"])
def test_an_unexpected_tensor_is_named(folder: Path, name: str) -> None:
    put_weights(folder, save({**folders.tensors(), name: np.zeros(1, np.float32)}))
    refused(folder, f"unexpected {name}")


@pytest.mark.parametrize("name", sorted(folders.tensors()))
@pytest.mark.parametrize("change", ["longer", "flat", "empty", "one more axis"])
def test_a_tensor_of_another_shape_is_refused(folder: Path, name: str, change: str) -> None:
    weights = folders.tensors()
    old = weights[name]
    weights[name] = {
        "longer": np.concatenate([old, old]),
        "flat": np.zeros((), np.float32),
        "empty": old[:0],
        "one more axis": old[None],
    }[change]
    put_weights(folder, save(weights))
    refused(folder, "has shape")


@pytest.mark.parametrize(
    ("kind", "changes", "match"),
    [
        ("binary", {"norm.std": np.zeros(folders.DIM)}, "norm.std must be positive"),
        ("binary", {"norm.std": -np.ones(folders.DIM)}, "norm.std must be positive"),
        ("ordinal", {"classifier.bias": np.array([1.0, -1.0, 0.0])}, "classifier.bias must fall"),
        ("ordinal", {"classifier.weight": np.ones((3, folders.HIDDEN))}, r"shape \(3, 4\), this head expects \(1, 4\)"),
        ("multiclass", {"classifier.bias": np.zeros(2)}, r"shape \(2,\), this head expects \(3,\)"),
    ],
    ids=["zero std", "negative std", "cuts that rise", "a score a cut", "too few classes"],
)
def test_values_that_no_head_has_are_refused(
    tmp_path: Path, kind: str, changes: dict[str, NDArray[Any]], match: str
) -> None:
    good = folders.write_folder(tmp_path, folders.tensors(kind), folders.card(kind))
    put_weights(good, save(folders.tensors(kind) | {n: v.astype(np.float32) for n, v in changes.items()}))
    refused(good, match)


@pytest.mark.parametrize("aggregate", ["gated-attention", "mean"])
def test_weights_of_the_other_aggregate_are_refused(folder: Path, aggregate: str) -> None:
    put_weights(folder, save(folders.tensors(gated=aggregate == "mean")))
    edit_card(folder, head__aggregate=aggregate)
    refused(folder, r"attention\.")


def test_members_that_the_card_does_not_count_are_refused(folder: Path) -> None:
    weights = folders.tensors(prefix="members.0.") | folders.tensors(prefix="members.1.")
    put_weights(folder, save(weights))
    edit_card(folder, head__members=3)
    refused(folder, r"members\.2\.embed\.weight is missing")
    edit_card(folder, head__members=1)
    refused(folder, r"weights\.safetensors: .*embed\.weight")
    put_weights(folder, save({**weights, "members.7.embed.weight": np.zeros((1, 1), np.float32)}))
    edit_card(folder, head__members=2)
    refused(folder, r"unexpected members\.7\.embed\.weight")


@pytest.mark.parametrize(
    ("rule", "arrays", "match"),
    [
        (True, {}, "holds no ood arrays, the card's out_of_distribution asks for ood.mean, ood.axes, ood.scale"),
        (False, folders.familiar(), "asks for none"),
        (True, folders.familiar() | {"ood.scale": np.zeros(2, np.float32)}, "ood.scale must be positive"),
        (True, folders.familiar() | {"ood.scale": np.ones(3, np.float32)}, r"ood\.scale \(3,\); expected"),
        (True, folders.familiar() | {"ood.mean": np.ones(5, np.float32)}, r"ood\.mean \(5,\)"),
        (True, folders.familiar() | {"ood.axes": np.ones((2, 5), np.float32)}, r"ood\.axes \(2, 5\)"),
        (True, folders.familiar() | {"ood.axes": np.full((2, 6), np.nan, np.float32)}, "ood.axes holds NaN"),
    ],
    ids=["none", "no rule", "zero scale", "long scale", "short mean", "narrow axes", "NaN"],
)
def test_a_rule_for_unfamiliar_slides_and_its_arrays_must_agree(
    folder: Path, rule: bool, arrays: folders.Arrays, match: str
) -> None:
    put_weights(folder, save(folders.tensors() | arrays))
    if rule:
        edit_card(folder, out_of_distribution=RULE)
    refused(folder, match)


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.canary),)


@pytest.mark.parametrize("name", ["weights.safetensors", "selftest.safetensors"])
@pytest.mark.parametrize("front", [b"", struct.pack("<Q", 2) + b"{}"], ids=["plain", "behind a safetensors header"])
def test_a_pickle_is_never_loaded(folder: Path, tmp_path: Path, name: str, front: bytes) -> None:
    canary = tmp_path / "canary"
    content = front + pickle.dumps(Bomb(canary))
    (folder / name).write_bytes(content)
    if name.startswith("weights"):
        edit_card(folder, weights_sha256=hashlib.sha256(content).hexdigest())
    refused(folder, f"{name}: ")
    assert not canary.exists()
    pickle.loads(pickle.dumps(Bomb(canary)))
    assert canary.exists(), "the bomb must work, or this test proves nothing"


def make_link(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))


def make_zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


def make_sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


@pytest.mark.parametrize("name", ["weights.safetensors", "selftest.safetensors"])
@pytest.mark.parametrize("make", [None, make_link, make_zeros, os.mkfifo, os.mkdir, make_sparse])
def test_files_that_are_no_files_or_never_end_are_refused_at_once(
    folder: Path, name: str, make: Callable[[Path], None] | None
) -> None:
    (folder / name).unlink()
    if make is not None:
        make(folder / name)
    refused(folder, rf"{name}: (no such file|1099511627776 bytes; a head has at most)")


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:os.mkdir ['{canary}']",
        "!!python/object/new:os.mkdir ['{canary}']",
        "!!python/name:os.mkdir",
    ],
)
def test_a_yaml_tag_is_never_followed(folder: Path, tmp_path: Path, tag: str) -> None:
    canary = tmp_path / "canary"
    path = folder / "model.yaml"
    path.write_text(path.read_text().replace("title: A tiny head", f"title: {tag.format(canary=canary)}"))
    refused(folder, r"model\.yaml:\d+: not valid YAML", ModelError)
    assert not canary.exists()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"hook": "os.system"}, "unknown key 'hook'"),
        ({"head__memebrs": 2}, r"model\.yaml:\d+: unknown key 'head.memebrs'. Did you mean 'members'"),
        ({"head__members": 10**9}, "head.members"),
        ({"head__members": 0}, "head.members"),
        ({"head__type": "transformer"}, "head.type"),
        ({"head__positive": "cancer"}, "positive must be one of benign, malignant"),
        ({"head__classes": [{"name": "x", "color": [0, 0, 0]}] * 2}, "YAML|two classes of one name"),
        ({"head__classes": [{"name": n, "color": [0, 0, 0]} for n in "abc"]}, "a binary head has 2 classes, found 3"),
        ({"calibration": {"method": "temperature", "temperature": 0}}, "calibration.temperature"),
        ({"calibration": {"method": "temperature", "temperature": float("nan")}}, "calibration.temperature"),
        ({"calibration": {"method": "temperature", "bias": float("inf")}}, "calibration.bias"),
        ({"referral": {"low": 0.6, "high": 0.4, "reason": "x"}}, "low 0.6 is above high 0.4"),
        ({"thresholds": [{"name": "x", "value": 1.5, "chosen_by": "x"}]}, "thresholds.0.value"),
        (
            {"thresholds": [{"name": "x", "value": v, "chosen_by": "x"} for v in (0.1, 0.2)]},
            "two thresholds of one name",
        ),
        ({"input__tile_px": -224}, "input.*tile_px"),
        ({"use__status": "cleared for diagnosis"}, "use.status"),
        ({"weights_sha256": "abc"}, "weights_sha256"),
        ({"evaluation": []}, "evaluation"),
        ({"selftest__tolerance": 1.0}, "selftest.tolerance"),
        ({"selftest__probability": [0.5]}, "selftest.probability must have 2 numbers"),
        ({"selftest__probability": [float("nan"), 0.5]}, "selftest.probability"),
        ({"selftest__file": "../selftest.safetensors"}, "selftest.file: .*name of a file in this folder"),
        ({"selftest__file": "/etc/passwd"}, "selftest.file: .*name of a file in this folder"),
        ({"selftest__file": "a\\b"}, "selftest.file: .*name of a file in this folder"),
    ],
)
def test_a_card_that_does_not_keep_the_schema_is_refused(folder: Path, changes: dict[str, object], match: str) -> None:
    edit_card(folder, **changes)
    refused(folder, match, ModelError)


@pytest.mark.parametrize("kind", ["multiclass", "ordinal"])
def test_thresholds_of_more_than_two_classes_are_refused(tmp_path: Path, kind: str) -> None:
    threshold = {"name": "x", "value": 0.5, "chosen_by": "x"}
    good = folders.write_folder(tmp_path, folders.tensors(kind), folders.card(kind, thresholds=[threshold]))
    refused(good, "thresholds are for binary heads", ModelError)


@pytest.mark.parametrize("name", ["use", "licence", "input", "encoder", "evaluation", "training", "selftest", "head"])
def test_a_card_that_leaves_out_what_people_must_know_is_refused(folder: Path, name: str) -> None:
    path = folder / "model.yaml"
    fields = yaml.safe_load(path.read_text())
    del fields[name]
    path.write_text(yaml.safe_dump(fields))
    refused(folder, f"{name}: Field required", ModelError)


@pytest.mark.parametrize("off", [0.002, 0.4])
def test_a_model_that_does_not_reproduce_its_selftest_is_refused(folder: Path, off: float) -> None:
    told = yaml.safe_load((folder / "model.yaml").read_text())["selftest"]["probability"]
    sign = 1 if told[0] < 0.5 else -1
    edit_card(folder, selftest__probability=[told[0] + sign * off, told[1] - sign * off])
    refused(
        folder,
        r"selftest\.safetensors: the selftest gives \[.*\], the card says \[.*\]; .*can't be trusted",
        ModelError,
    )


@pytest.mark.parametrize(
    ("arrays", "match", "error"),
    [
        ({"features": folders.bag(5, seed=1)}, "the selftest gives", ModelError),
        ({"features": folders.bag(5)[:, :4]}, "reads features of 6, found", EncoderMismatchError),
        ({"features": folders.bag(0)}, "expected features", ModelError),
        ({"features": folders.bag(5)[0]}, "expected features", ModelError),
        ({"feature": folders.bag(5)}, "expected features", ModelError),
        ({"features": folders.bag(5), "hook": folders.bag(1)}, "expected features", ModelError),
        ({"features": folders.bag(5) * np.float32("nan")}, "features holds NaN", WeightsError),
        ({"features": np.full((5, 6), 3e38, np.float32)}, "the selftest fails", ModelError),
        ({"features": folders.bag(5).astype(np.int32)}, "features is of type", WeightsError),
        ({"features": folders.bag(5), "tile": np.zeros((99, 99, 3), np.uint8)}, "tile is", ModelError),
        ({"features": folders.bag(5), "tile": np.zeros((224, 224, 3), np.float32)}, "tile is", ModelError),
    ],
    ids=range(11),
)
def test_a_selftest_of_another_make_is_refused(
    folder: Path, arrays: folders.Arrays, match: str, error: type[ModelError]
) -> None:
    save_file(arrays, folder / "selftest.safetensors")
    refused(folder, match, error)


def test_a_model_for_another_width_or_other_weights_of_its_encoder_is_refused(tmp_path: Path) -> None:
    encoder = find_folder("mobilenetv2-imagenet", "encoder")
    told = yaml.safe_load((encoder / "model.yaml").read_text())
    own = tmp_path / "encoder"
    own.mkdir()
    (own / "model.yaml").write_text(yaml.safe_dump({**told, "dim": folders.DIM}))
    folder = folders.write_folder(tmp_path / "model", folders.tensors(), folders.card())
    edit_card(folder, encoder={"name": "mobilenetv2-imagenet", "sha256": told["weights"]["sha256"]})
    refused(folder, "reads features of 6, mobilenetv2-imagenet gives 1280", EncoderMismatchError)
    edit_card(folder, encoder={"name": str(own), "sha256": "0" * 64})
    refused(folder, "was made with weights 000000000000", EncoderMismatchError)
    edit_card(folder, encoder={"name": str(own), "sha256": told["weights"]["sha256"]})
    assert load_model(str(folder)).dim == folders.DIM


def test_a_name_that_is_no_model_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "none", "no such name and no folder with a model.yaml", ModelError)


def test_every_changed_byte_of_the_weights_is_found(folder: Path) -> None:
    path, good = folder / "weights.safetensors", (folder / "weights.safetensors").read_bytes()
    for place in np.random.default_rng(0).integers(0, len(good), 60):
        bad = bytearray(good)
        bad[place] ^= 0x10
        path.write_bytes(bytes(bad))
        refused(folder, "sha256")
    path.write_bytes(good)
    assert load_model(str(folder)).card == model_card(folder)
    assert set(load_file(path)) == set(folders.tensors())


LOAD = """
import json, resource, sys
from wsi.errors import WsiError
from wsi.predict.model import load_model

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


before, codes = peak(), []
for folder in sys.argv[1:]:
    try:
        load_model(folder)
        codes.append("")
    except WsiError as error:
        codes.append(error.code)
print(json.dumps({"codes": codes, "extra_bytes": peak() - before}))
"""


def many_names() -> bytes:
    """Return a file of as many empty tensors as a header of 15 MB can name; read, they would take 400 MB."""
    about = b'{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    return with_header(b"{" + b",".join(b'"t%d":%s' % (i, about) for i in range(250_000)) + b"}")


@pytest.mark.slow
def test_heavy_folders_are_refused_in_little_memory(tmp_path: Path) -> None:
    wide = np.zeros((4, (MAX_BYTES - 4096) // 16), np.float32)
    heavy = {
        "wide": save({**folders.tensors(), "embed.weight": wide}),
        "names": many_names(),
        "header": with_header(b"{" + b" " * (60 << 20)),
        "good": save(folders.tensors()),
    }
    for name, content in heavy.items():
        put_weights(folders.write_folder(tmp_path / name, folders.tensors(), folders.card()), content)
    paths = [tmp_path / name for name in heavy]
    ended = subprocess.run(
        [sys.executable, "-c", LOAD, *paths],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["codes"] == ["E_WEIGHTS", "E_WEIGHTS", "E_WEIGHTS", ""]
    assert found["extra_bytes"] < 200e6  # the largest file is 64 MiB, and held as bytes and as numbers
