"""GPUs are shared: workers take turns among them, and none stands still while a slide is opened."""

from pathlib import Path

import pytest

from wsi.cli.over_slides import with_shares
from wsi.config import Config, EncodeConfig, EngineConfig
from wsi.engine import gpus


@pytest.fixture
def four(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in range(4):
        (tmp_path / f"0000:0{place}:00.0").mkdir()
    monkeypatch.setattr(gpus, "FOLDER", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_no_driver_is_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "FOLDER", tmp_path / "none")
    assert (gpus.gpu_count(), gpus.jobs_for("auto"), gpus.device_of(1, "auto")) == (0, 1, "auto")


@pytest.mark.usefixtures("four")
@pytest.mark.parametrize(("shown", "count"), [("0,1", 2), ("", 0), ("-1", 0), ("3", 1), ("GPU-1,GPU-2,GPU-3", 3)])
def test_only_those_shown_count(shown: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    assert gpus.gpu_count() == count


@pytest.mark.usefixtures("four")
def test_workers_take_turns() -> None:
    assert [gpus.device_of(place, "auto") for place in range(5)] == ["cuda:0", "cuda:1", "cuda:2", "cuda:3", "cuda:0"]
    assert [gpus.device_of(place, "cuda:1") for place in range(2)] == ["cuda:1", "cuda:1"]
    assert gpus.device_of(3, "cpu") == "cpu"


@pytest.mark.usefixtures("four")
@pytest.mark.parametrize(
    ("device", "given", "jobs"), [("auto", None, 8), ("cuda:2", None, 2), ("cpu", None, 1), ("auto", 3, 3)]
)
def test_jobs_follow_from_the_device_unless_given(device: str, given: int | None, jobs: int) -> None:
    shared = with_shares(Config(encode=EncodeConfig(device=device), engine=EngineConfig(jobs=given))).engine
    assert shared.jobs == jobs
    assert shared.threads is not None
    assert shared.threads >= 1
