"""Which weights are taken, and what is said when there are none."""

import json
from pathlib import Path

import pytest

from tests.encode import tiny
from wsi.card import EncoderCard
from wsi.encode.sources import SOURCE, WEIGHTS, encoders_folder, fetched_folder, find_weights, next_step, read_source
from wsi.errors import WeightsError
from wsi.publish import sha256_bytes

GIVEN, SHIPPED, FETCHED = b"given", b"shipped", b"fetched"


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WSI_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def put_fetched(name: str, content: bytes = FETCHED, *, sha256: str | None = None) -> Path:
    source = {"hub": "a/b", "file": WEIGHTS, "revision": "r1", "sha256": sha256 or sha256_bytes(content)}
    put(fetched_folder(name) / SOURCE, json.dumps(source).encode())
    return put(fetched_folder(name) / WEIGHTS, content)


def card(**weights: str) -> EncoderCard:
    return tiny.card(weights={"hub": "a/b", **weights})


def test_given_comes_before_shipped_before_fetched(tmp_path: Path) -> None:
    folder = tmp_path / "card"
    about = card(file="w.safetensors", revision="r0")
    fetched = put_fetched("tiny")
    with pytest.raises(WeightsError, match="no such weights file"):
        find_weights(about, folder)
    shipped = put(folder / "w.safetensors", SHIPPED)
    given = put(tmp_path / "given.safetensors", GIVEN)
    found = find_weights(about, folder, given=given)
    assert (found.path, found.sha256, found.revision) == (given, sha256_bytes(GIVEN), "")
    found = find_weights(about, folder)
    assert (found.path, found.sha256, found.revision) == (shipped, sha256_bytes(SHIPPED), "r0")
    found = find_weights(card(), folder)
    assert (found.path, found.sha256, found.revision) == (fetched, sha256_bytes(FETCHED), "r1")


def test_a_folder_with_one_safetensors_file_can_be_given(tmp_path: Path) -> None:
    path = put(tmp_path / "given" / "x.safetensors", GIVEN)
    assert find_weights(card(), None, given=path.parent).path == path
    put(tmp_path / "given" / "y.safetensors", GIVEN)
    with pytest.raises(WeightsError, match=r"expected one .* found x.safetensors, y.safetensors"):
        find_weights(card(), None, given=path.parent)


@pytest.mark.parametrize("name", ["w.bin", "w.pt", "w.pth", "w.pkl", "w.ckpt", "w.npz"])
def test_pickles_are_refused_with_the_way_to_convert_them(name: str, tmp_path: Path) -> None:
    path = put(tmp_path / "given" / name, GIVEN)
    for given in (path, path.parent):
        with pytest.raises(WeightsError, match=r"never loaded; convert .*save_file"):
            find_weights(card(), None, given=given)


def test_a_wrong_sha256_is_refused_and_said(tmp_path: Path) -> None:
    given = put(tmp_path / "w.safetensors", GIVEN)
    with pytest.raises(WeightsError, match=rf"sha256 .* is {sha256_bytes(GIVEN)}, expected {'0' * 64}"):
        find_weights(card(sha256="0" * 64), None, given=given)
    put_fetched("tiny", sha256=sha256_bytes(b"what the hub had"))
    with pytest.raises(WeightsError, match="damaged or another one"):
        find_weights(card(), None)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"hub": 1}', b"\xff"])
def test_fetched_weights_without_their_source_are_refused(content: bytes) -> None:
    put_fetched("tiny")
    put(fetched_folder("tiny") / SOURCE, content)
    with pytest.raises(WeightsError, match="fetch the encoder again"):
        find_weights(card(), None)
    with pytest.raises(WeightsError):
        read_source(fetched_folder("tiny"))


@pytest.mark.parametrize("name", ["../w.safetensors", "/etc/hostname", "sub/w.safetensors"])
def test_a_card_reaches_no_file_outside_its_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="must be a file name in that folder"):
        find_weights(card(file=name), tmp_path)


def test_missing_weights_say_what_to_do() -> None:
    with pytest.raises(WeightsError, match=r"no weights on this machine; `wsi-run models fetch tiny`, or name"):
        find_weights(card(), None)
    gated = tiny.card(weights={"hub": "a/b"}, licence={"weights": "x", "gated": True})
    assert "accept its terms on the hub first, and set HF_TOKEN" in next_step(gated)
    assert "fetch" not in next_step(tiny.card())
    assert "--weights FILE" in next_step(tiny.card())


def test_fetched_encoders_lie_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert encoders_folder() == tmp_path / "models" / "encoders"
    monkeypatch.delenv("WSI_MODELS")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert encoders_folder() == tmp_path / "data" / "wsi-run" / "encoders"
    assert fetched_folder("timm:resnet18").name == "timm-resnet18"
