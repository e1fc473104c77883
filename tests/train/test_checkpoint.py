"""Killed at any moment a fit goes on to the same bytes; nothing damaged or foreign is gone on from."""

import multiprocessing
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from tests.train.drawn import DIM, two_classes
from wsi import publish
from wsi.errors import ArtifactError
from wsi.mil import HeadSpec
from wsi.train.checkpoint import FORMAT
from wsi.train.loop import Fit
from wsi.train.recipe import Recipe
from wsi.train.start import start_head
from wsi.train.tasks import Task

CASES = two_classes(12)
RECIPE = Recipe(epochs=10, patience=0, batch=2, instances=3, learning_rate=0.01)
KILLS = 10
PUBLISHING: dict[str, tuple[Any, str]] = {
    "write": (Path, "write_bytes"),
    "fsync": (os, "fsync"),
    "rename": (Path, "replace"),
    "flush": (publish, "flush_folder"),
}
"""What is called, one after the other, when a file is published."""
CLEAN = multiprocessing.get_context("forkserver")
"""Children of a process that has only imported: where autograd ran, torch refuses to run it in forks."""
CLEAN.set_forkserver_preload([__name__])


def train(path: Path, *, key: str = "k", epochs: int | None = None) -> bytes:
    """Train to the end, or until so many epochs were made in this call."""
    head = start_head(HeadSpec(hidden=8, width=4, dropout=0.2), DIM, seed=3)
    fit = Fit(head, Task("binary", ("no", "yes")), RECIPE, CASES, range(8), range(8, 12), seed=3)
    made = 0

    def watch(_: object) -> None:
        nonlocal made
        made += 1
        if made == epochs:
            raise KeyboardInterrupt

    try:
        fit.run(path, key=key, watch=watch)
    except KeyboardInterrupt:
        return b""
    return safetensors.torch.save(dict(head.state_dict()))


def killed_child(work: Path, *, after_s: float) -> bool:
    """Train in a child and kill it; return whether it was still at work."""
    child = CLEAN.Process(target=train, args=(work,))
    child.start()
    time.sleep(after_s)
    child.kill()
    child.join()
    assert child.exitcode in (0, -signal.SIGKILL)
    return child.exitcode != 0


def train_until_published(path: Path, call: str) -> None:
    """Train and be killed where a file is published for the fourth time, at one of the calls."""
    count = 0
    of, name = PUBLISHING[call]
    real = getattr(of, name)

    def fatal(*given: Any) -> Any:
        nonlocal count
        count += 1
        if count == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*given)

    setattr(of, name, fatal)
    train(path)


def test_killed_at_ten_moments_it_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    started = time.monotonic()
    weights = train(tmp_path / "whole")
    whole_s = time.monotonic() - started
    moments = random.Random(20261124)
    hit = 0
    for n in range(KILLS):
        path = tmp_path / str(n)
        while killed_child(
            path, after_s=moments.uniform(0.05, 0.5) * whole_s
        ):  # again and again, until it gets through
            hit += 1
            if hit % 3 == 0:
                break
        assert train(path) == weights
        assert path.read_bytes() == (tmp_path / "whole").read_bytes()
    assert hit >= KILLS


@pytest.mark.parametrize("call", PUBLISHING)
def test_killed_while_a_checkpoint_is_published_it_goes_on_to_the_same_bytes(call: str, tmp_path: Path) -> None:
    weights = train(tmp_path / "whole")
    child = CLEAN.Process(target=train_until_published, args=(tmp_path / "cut", call))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert train(tmp_path / "cut") == weights
    assert (tmp_path / "cut").read_bytes() == (tmp_path / "whole").read_bytes()


def test_every_epoch_can_be_the_last_before_a_stop(tmp_path: Path) -> None:
    weights = train(tmp_path / "whole")
    for epochs in (1, 4, 9):
        assert train(tmp_path / "cut", epochs=epochs) == b""
        assert train(tmp_path / "cut") == weights
        (tmp_path / "cut").unlink()


def test_finished_fit_is_not_trained_again(tmp_path: Path) -> None:
    weights = train(tmp_path / "c")
    before = (tmp_path / "c").stat().st_mtime_ns
    assert train(tmp_path / "c") == weights
    assert (tmp_path / "c").stat().st_mtime_ns == before


def test_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    train(tmp_path / "c")
    with pytest.raises(ArtifactError, match="other data, splits or settings"):
        train(tmp_path / "c", key="another")


def test_checkpoint_holds_tensors_and_one_text_and_no_pickle(tmp_path: Path) -> None:
    train(tmp_path / "c")
    with safetensors.safe_open(tmp_path / "c", framework="pt") as file:
        assert set(file.metadata()) == {"wsi"}
        assert FORMAT in file.metadata()["wsi"]
        names = set(file.keys())
    assert {"head.embed.weight", "best.embed.weight", "optimizer.0.exp_avg", "optimizer.0.step"} <= names


@pytest.mark.parametrize("harm", ["cut", "flipped", "text", "empty", "foreign"])
def test_damaged_checkpoint_is_refused_by_name(harm: str, tmp_path: Path) -> None:
    path = tmp_path / "c"
    train(path, epochs=2)
    content = path.read_bytes()
    foreign = safetensors.torch.save({"a": torch.zeros(1)})
    made = {"cut": content[:-9], "flipped": content[:30] + b"\xff" + content[31:], "text": b"hello there", "empty": b""}
    path.write_bytes(made.get(harm, foreign))
    with pytest.raises(ArtifactError, match="remove it to train anew"):
        train(path)
