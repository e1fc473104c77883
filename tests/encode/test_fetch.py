"""Downloads, from a hub that is a folder: no test of this room uses a network."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub.errors import (  # type: ignore[attr-defined]
    GatedRepoError,
    HTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from tests.encode import tiny
from wsi.encode import fetch as room
from wsi.encode.catalog import check
from wsi.encode.fetch import fetch
from wsi.encode.sources import fetched_folder, read_source
from wsi.errors import ModelError, WeightsError
from wsi.publish import sha256_bytes

COMMIT = "c0ffee" * 6 + "c0ff"
WEIGHTS = b"weights"


@dataclass
class Hub:
    """What the hub holds, what it claims, and what it was asked."""

    files: dict[str, bytes]
    claimed: dict[str, str | None] = field(default_factory=dict)
    fails: Exception | None = None
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def model_info(self, repo: str, *, revision: str | None, files_metadata: bool) -> SimpleNamespace:
        self.asked.append(("info", repo, str(revision)))
        if self.fails:
            raise self.fails
        hashes = {name: sha256_bytes(content) for name, content in self.files.items()} | self.claimed
        lfs = {name: SimpleNamespace(sha256=one) if one else None for name, one in hashes.items()}
        return SimpleNamespace(sha=COMMIT, siblings=[SimpleNamespace(rfilename=n, lfs=lfs[n]) for n in self.files])

    def download(self, repo: str, file: str, *, revision: str, local_dir: str, token: str | None) -> str:
        self.asked.append(("file", repo, file, revision, str(token)))
        path = Path(local_dir, file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.files[file])
        return str(path)


Serve = Callable[..., Hub]


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Serve:
    """A function that puts a hub with the given files in the place of the real one."""
    monkeypatch.setenv("WSI_MODELS", str(tmp_path / "models"))

    def install(files: dict[str, bytes], **how: object) -> Hub:
        hub = Hub(files, **how)  # type: ignore[arg-type]
        monkeypatch.setattr(room, "HfApi", lambda token=None: hub)
        monkeypatch.setattr(room, "hf_hub_download", hub.download)
        return hub

    return install


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


ANSWER: Any = SimpleNamespace(headers={}, request=None)
"""A response of the hub, as far as its errors look at it."""


def test_weights_come_with_the_commit_they_are_of(serve: Serve, tmp_path: Path) -> None:
    hub = serve({"README.md": b"", "model.safetensors": WEIGHTS})
    path = fetch("h-optimus-0", token="secret")
    assert path.read_bytes() == WEIGHTS
    assert read_source(path.parent) == {
        "hub": "bioptimus/H-optimus-0",
        "file": "model.safetensors",
        "revision": COMMIT,
        "sha256": sha256_bytes(WEIGHTS),
    }
    assert kept(tmp_path / "models") == ["model.safetensors", "source.json"]
    assert hub.asked == [
        ("info", "bioptimus/H-optimus-0", "None"),
        ("file", "bioptimus/H-optimus-0", "model.safetensors", COMMIT, "secret"),
    ]
    assert "secret" not in (path.parent / "source.json").read_text()
    entry, weights = check("h-optimus-0")
    assert (entry.status, entry.missing) == ("fetched", "")
    assert weights is not None
    assert (weights.path, weights.revision) == (path, COMMIT)


def test_the_folder_can_be_carried_to_a_machine_without_network(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve({"model.safetensors": WEIGHTS})
    fetch("h-optimus-0")
    shutil.move(tmp_path / "models", tmp_path / "carried")
    assert check("h-optimus-0")[0].status == "needs fetch"
    monkeypatch.setenv("WSI_MODELS", str(tmp_path / "carried"))
    assert check("h-optimus-0")[0].status == "fetched"


def test_weights_can_be_fetched_to_any_folder(serve: Serve, tmp_path: Path) -> None:
    serve({"model.safetensors": WEIGHTS})
    assert fetch("phikon", folder=tmp_path / "mine") == tmp_path / "mine" / "model.safetensors"


def test_networks_of_timm_are_fetched_by_name(serve: Serve) -> None:
    hub = serve({"model.safetensors": WEIGHTS})
    assert fetch("timm:resnet18.a1_in1k").parent == fetched_folder("timm:resnet18.a1_in1k")
    assert hub.asked[0][1] == "timm/resnet18.a1_in1k"


def write_card(folder: Path, **weights: str) -> Path:
    folder.mkdir()
    card = tiny.card(weights={"hub": "someone/tiny", **weights})
    (folder / "model.yaml").write_text(card.model_dump_json())  # JSON is YAML
    return folder


def test_a_revision_of_the_card_is_asked_for(serve: Serve, tmp_path: Path) -> None:
    hub = serve({"other.safetensors": WEIGHTS, "model.safetensors": b"not these"})
    folder = write_card(tmp_path / "tiny", revision="v1", hub_file="other.safetensors")
    assert fetch(str(folder)).read_bytes() == WEIGHTS
    assert hub.asked[0] == ("info", "someone/tiny", "v1")


@pytest.mark.parametrize("who", ["hub", "card"])
def test_a_wrong_sha256_leaves_nothing(who: str, serve: Serve, tmp_path: Path) -> None:
    claimed: dict[str, str] = {"model.safetensors": "0" * 64} if who == "hub" else {}
    serve({"model.safetensors": WEIGHTS}, claimed=claimed)
    folder = write_card(tmp_path / "tiny", **({"sha256": "0" * 64} if who == "card" else {}))
    with pytest.raises(WeightsError, match=rf"has sha256 {sha256_bytes(WEIGHTS)}, expected {'0' * 64}; try again"):
        fetch(str(folder))
    assert kept(tmp_path / "models") == []


def test_a_failed_fetch_keeps_the_weights_of_before(serve: Serve) -> None:
    serve({"model.safetensors": WEIGHTS})
    path = fetch("h-optimus-0")
    serve({"model.safetensors": b"newer"}, claimed={"model.safetensors": "0" * 64})
    with pytest.raises(WeightsError):
        fetch("h-optimus-0")
    assert path.read_bytes() == WEIGHTS
    assert check("h-optimus-0")[0].ready


def test_pickles_alone_are_not_fetched(serve: Serve, tmp_path: Path) -> None:
    hub = serve({"GPFM.pth": b"\x80\x04.", "README.md": b""})
    with pytest.raises(WeightsError, match=r"majiabo/GPFM: holds GPFM.pth and no model.safetensors; pickled weights"):
        fetch("gpfm")
    assert [one[0] for one in hub.asked] == ["info"]
    assert kept(tmp_path / "models") == []


def test_a_repository_without_weights_says_what_it_holds(serve: Serve) -> None:
    serve({"README.md": b"", "config.json": b""})
    with pytest.raises(WeightsError, match=r"holds no model.safetensors; found README.md, config.json"):
        fetch("h-optimus-0")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (GatedRepoError("no", response=ANSWER), r"MahmoodLab/UNI: gated; accept its terms .* set HF_TOKEN"),
        (RepositoryNotFoundError("404 not here", response=ANSWER), r"could not be fetched \(404 not here"),
        (HTTPError(""), r"could not be fetched \(HTTPError\)"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (OfflineModeIsEnabled("offline"), "HF_HUB_OFFLINE is set; unset it to fetch"),
        (HTTPError("no route to host"), r"could not be fetched \(no route to host"),
    ],
)
def test_no_access_is_said_in_one_line(error: Exception, message: str, serve: Serve, tmp_path: Path) -> None:
    serve({"model.safetensors": WEIGHTS}, fails=error)
    with pytest.raises(WeightsError, match=message) as caught:
        fetch("uni")
    assert "\n" not in str(caught.value)
    assert kept(tmp_path / "models") == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("musk", "can't be run here .* so it isn't fetched"),
        ("mobilenetv2-imagenet", "names no repository on the hub"),
        ("unii", "Did you mean 'uni'"),
    ],
)
def test_what_cant_be_run_is_not_fetched(name: str, message: str, serve: Serve) -> None:
    hub = serve({"model.safetensors": WEIGHTS})
    with pytest.raises(ModelError, match=message):
        fetch(name)
    assert hub.asked == []
