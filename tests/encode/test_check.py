"""`wsi-run models list` and `check`: terms, gate, token and next step, and no network."""

import json
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from wsi.cli.main import app
from wsi.encode.catalog import check, entries
from wsi.encode.sources import SOURCE, WEIGHTS, fetched_folder
from wsi.errors import WeightsError
from wsi.publish import sha256_bytes


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with no weights and no token."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setenv("WSI_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def models_command(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["models", *arguments], catch_exceptions=False, standalone_mode=False)


def put_fetched(name: str, content: bytes = b"weights", *, sha256: str | None = None) -> None:
    folder = fetched_folder(name)
    folder.mkdir(parents=True)
    (folder / WEIGHTS).write_bytes(content)
    source = {"hub": "a/b", "file": WEIGHTS, "revision": "r1", "sha256": sha256 or sha256_bytes(content)}
    (folder / SOURCE).write_text(json.dumps(source))


@pytest.mark.parametrize(
    ("name", "status", "missing"),
    [
        ("mobilenetv2-imagenet", "shipped", ""),
        ("h-optimus-0", "needs fetch", "`wsi-run models fetch h-optimus-0`, or name a .safetensors file"),
        (
            "uni2-h",
            "needs token",
            "`wsi-run models fetch uni2-h` (accept its terms on the hub first, and set HF_TOKEN)",
        ),
        ("gpfm", "needs fetch", "published as GPFM.pth, which is a pickle and has to be converted"),
        ("musk", "not built here", "runs with its publishers' package, which is not run here; install a plug-in"),
        ("rudolfv-2", "not built here", "runs with code that comes with its weights"),
    ],
)
def test_every_encoder_says_what_is_missing(name: str, status: str, missing: str) -> None:
    entry, weights = check(name)
    assert entry.status == status
    assert missing in entry.missing
    assert entry.ready == (status == "shipped") == (weights is not None)


def test_a_token_leaves_only_the_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    assert check("uni2-h")[0].status == "needs fetch"


def test_fetched_weights_are_ready_and_checked() -> None:
    put_fetched("uni2-h")
    entry, weights = check("uni2-h")
    assert (entry.status, entry.missing) == ("fetched", "")
    assert weights is not None
    assert weights.sha256 == sha256_bytes(b"weights")


def test_damaged_weights_are_said() -> None:
    put_fetched("uni2-h", sha256="0" * 64)
    with pytest.raises(WeightsError, match="damaged or another one"):
        check("uni2-h")


def test_list_shows_each_encoder_with_its_terms() -> None:
    rows = [json.loads(line) for line in models_command("list", "--json").output.splitlines()]
    encoders = {row["name"]: row for row in rows if row["kind"] == "encoder"}
    assert {entry.card.id for entry in entries()} <= set(encoders)
    assert encoders["uni2-h"]["licence"] == "CC-BY-NC-ND-4.0"
    assert encoders["uni2-h"]["status"] == "needs token"
    assert encoders["mobilenetv2-imagenet"]["status"] == "shipped"
    text = models_command("list").output
    assert len(text.splitlines()) == len(rows)


def test_check_shows_licence_gate_input_and_next_step() -> None:
    result = models_command("check", "virchow2")
    assert "licence   CC-BY-NC-ND-4.0 (gated)" in result.output
    assert "input     224 px at 0.5 µm/px, features of 2560" in result.output
    assert "weights   needs token" in result.output
    assert "next step `wsi-run models fetch virchow2` (accept its terms" in result.output
    assert result.return_value == 3


def test_check_of_a_ready_encoder_shows_the_hash() -> None:
    result = models_command("check", "mobilenetv2-imagenet")
    assert "sha256 64c5413f6720" in result.output
    assert "next step" not in result.output
    assert result.return_value == 0
