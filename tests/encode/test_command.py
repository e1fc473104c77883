"""`wsi-run encode` with a network of timm and weights from a file, as a user runs it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.encode import tiny
from tests.traps import environment, write_trap
from wsi.card import Architecture
from wsi.encode import read_features, require_same_encoder
from wsi.errors import EncoderMismatchError
from wsi.publish import sha256_file


def encode(slides: Path, out: Path, encoder: str, weights: Path, *more: str) -> subprocess.CompletedProcess[str]:
    named = ["--encoder", encoder, "--weights", str(weights), "--device", "cpu", "-q", *more]
    return subprocess.run(
        [sys.executable, "-m", "wsi.cli", "encode", str(slides), "-o", str(out), *named],
        env=environment(out.parent),
        capture_output=True,
        check=False,
        text=True,
        timeout=180,
    )


@pytest.mark.slow
def test_encode_runs_a_network_of_timm_and_another_back_end_redoes_it(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    weights = tmp_path / "w.safetensors"
    tiny.save(tiny.with_random_weights(Architecture(name="test_resnet")), weights)
    write_trap(tmp_path / "slides" / "a.svs", side=900)
    found = []
    for more in (["--precision", "fp32"], ["--backend", "onnxruntime"]):
        ended = encode(tmp_path / "slides", tmp_path / "OUT", "timm:test_resnet", weights, *more)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        (path,) = (tmp_path / "OUT").rglob("features.h5")
        found.append(read_features(path))
    torchs, others = found
    assert torchs.identity is not None
    assert others.identity is not None
    assert (torchs.encoder, torchs.identity.weights_sha256) == ("timm:test_resnet", sha256_file(weights))
    assert len(torchs) >= 4
    assert np.ptp(torchs.features, axis=0).max() > 0
    assert torchs.identity.differences(others.identity) == ["backend: torch, onnxruntime"]
    np.testing.assert_allclose(others.features, torchs.features, rtol=1e-3)
    with pytest.raises(EncoderMismatchError, match="backend: torch, onnxruntime"):
        require_same_encoder(torchs, others)


def test_encode_says_which_weights_are_no_weights_before_it_opens_a_slide(tmp_path: Path) -> None:
    weights = tmp_path / "mine.pth"
    weights.write_bytes(b"\x80\x04.")
    write_trap(tmp_path / "slides" / "a.svs", side=900)
    ended = encode(tmp_path / "slides", tmp_path / "OUT", "mobilenetv2-imagenet", weights)
    assert ended.returncode == 2
    assert "mine.pth: pickled weights can carry code and are never loaded" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "OUT").exists()
