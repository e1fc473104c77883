"""`wsi-run encode` with a network of timm and weights from a file, as a user runs it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.encode import tiny
from tests.traps import environment, write_trap
from wsi.card import Architecture
from wsi.encode import read_features
from wsi.publish import sha256_file


def encode(slides: Path, out: Path, encoder: str, weights: Path) -> subprocess.CompletedProcess[str]:
    named = ["--encoder", encoder, "--weights", str(weights), "--device", "cpu", "-q"]
    return subprocess.run(
        [sys.executable, "-m", "wsi.cli", "encode", str(slides), "-o", str(out), *named],
        env=environment(out.parent),
        capture_output=True,
        check=False,
        text=True,
        timeout=180,
    )


@pytest.mark.slow
def test_encode_runs_a_network_of_timm_with_weights_from_a_file(tmp_path: Path) -> None:
    weights = tmp_path / "resnet18.safetensors"
    tiny.save(tiny.with_random_weights(Architecture(name="resnet18")), weights)
    write_trap(tmp_path / "slides" / "a.svs", side=900)
    ended = encode(tmp_path / "slides", tmp_path / "OUT", "timm:resnet18", weights)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (path,) = (tmp_path / "OUT").rglob("features.h5")
    bag = read_features(path)
    assert bag.identity is not None
    assert (bag.encoder, bag.identity.weights_sha256) == ("timm:resnet18", sha256_file(weights))
    assert bag.features.shape[1] == 512
    assert len(bag) >= 4
    assert np.ptp(bag.features, axis=0).max() > 0


def test_encode_says_which_weights_are_no_weights_before_it_opens_a_slide(tmp_path: Path) -> None:
    weights = tmp_path / "mine.pth"
    weights.write_bytes(b"\x80\x04.")
    write_trap(tmp_path / "slides" / "a.svs", side=900)
    ended = encode(tmp_path / "slides", tmp_path / "OUT", "mobilenetv2-imagenet", weights)
    assert ended.returncode == 2
    assert "mine.pth: pickled weights can carry code and are never loaded" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "OUT").exists()
