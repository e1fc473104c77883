"""Kills, crashes, full disks, signals and second runs: nothing is lost, nothing is half-written."""

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.flow.conftest import Command

Tree = Callable[[Path], dict[str, str]]
KILLS = int(os.environ.get("WSI_KILLS", "2"))
"""How many moments; 30 and more are for a quiet hour."""


def alive_in_group(group: int) -> list[int]:
    """Return the processes of a group; those that are dead and only wait to be counted are left out."""
    listed = subprocess.run(["ps", "-eo", "pid=,pgid=,stat="], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    return [int(pid) for pid, pgid, state in rows if int(pgid) == group and not state.startswith("Z")]


def kill_group(process: subprocess.Popen[str]) -> None:
    """Kill the command and every process that came from it, at once."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_to_the_same_bytes(
    command: Command, slides: Path, timed: tuple[Path, float], tmp_path: Path, tree: Tree
) -> None:
    (clean, clean_s), moments, out = timed, random.Random(20261124), tmp_path / "OUT"
    for _ in range(KILLS):
        shutil.rmtree(out, ignore_errors=True)
        process = command.start(slides, "-o", out, "-q")
        time.sleep(moments.uniform(0.2, 1.0) * clean_s)
        kill_group(process)
        assert command(slides, "-o", out, "-q").status == 0
        assert tree(out) == tree(clean)
        assert command("verify", out).status == 0


@pytest.mark.slow
def test_two_runs_on_one_folder_share_the_work(
    command: Command, slides: Path, clean: Path, tmp_path: Path, tree: Tree
) -> None:
    out = tmp_path / "OUT"
    runs = [command.start(slides, "-o", out, "--json") for _ in range(2)]
    told = [process.communicate(timeout=180)[0] for process in runs]
    assert [process.returncode for process in runs] == [0, 0]
    assert tree(out) == tree(clean)
    events = [json.loads(line) for text in told for line in text.splitlines()]
    encoded = [
        e["slide"]
        for e in events
        if e["event"] == "progress" and e["stage"] == "encode" and e["done"] == e["total"] > 0
    ]
    assert sorted(encoded) == sorted(set(encoded))
    assert len(encoded) == 3


@pytest.mark.slow
def test_survivor_takes_over_from_a_killed_run(
    command: Command, slides: Path, clean: Path, tmp_path: Path, tree: Tree
) -> None:
    out = tmp_path / "OUT"
    victim, survivor = command.start(slides, "-o", out, "-q"), command.start(slides, "-o", out, "-q")
    time.sleep(4)
    kill_group(victim)
    survivor.communicate(timeout=180)
    assert survivor.returncode == 0
    assert tree(out) == tree(clean)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_ends_it_soon_says_how_to_go_on_and_leaves_no_child(
    command: Command, slides: Path, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    process = command.start(slides, "-o", tmp_path / "OUT", "-q")
    time.sleep(3)
    os.killpg(process.pid, number)
    started = time.monotonic()
    _, stderr = process.communicate(timeout=30)
    assert time.monotonic() - started < 5
    assert process.returncode == status
    assert "same command again" in stderr
    until = started + 10  # a child that was still starting finds its parent gone when it has started
    while alive_in_group(process.pid) and time.monotonic() < until:
        time.sleep(0.1)
    assert not alive_in_group(process.pid)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A function that mounts a file system in memory of a given size; for root only."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small disk needs root")
    place = tmp_path / "disk"
    place.mkdir()
    mounted = []

    def mount(size: str) -> Path:
        made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], check=False)
        if made.returncode:
            pytest.skip("this machine lets nobody mount a disk")
        mounted.append(place)
        return place

    yield mount
    for _ in mounted:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.slow
def test_full_disk_is_said_and_nothing_is_half_written(
    command: Command, slides: Path, clean: Path, small_disk: Callable[[str], Path], tree: Tree
) -> None:
    """A disk that is full before the first features, made larger, full again before the end, made large enough."""
    disk, expected = small_disk("64k"), tree(clean)
    for larger in ("400k", "64m"):
        ended = command(slides, "-o", disk / "OUT", "-q")
        assert ended.status == 3
        assert "E_NOSPACE" in ended.stderr
        found = tree(disk / "OUT")
        whole = {n: d for n, d in found.items() if not n.endswith(("stages.json", "results.jsonl"))}
        assert whole.items() <= expected.items()
        subprocess.run(["mount", "-o", f"remount,size={larger}", str(disk)], check=True)
    assert command(slides, "-o", disk / "OUT", "-q").status == 0
    assert set(tree(disk / "OUT")) == set(expected)


def test_no_connection_is_made(command: Command, slides: Path, tmp_path: Path) -> None:
    alone = ["unshare", "-rn"]
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], check=False).returncode:
        pytest.skip("no network namespaces here")
    assert command(slides / "c.svs", "-o", tmp_path / "OUT", "-q", prefix=alone).status == 0


def test_out_that_is_a_file_is_a_usage_error(command: Command, slides: Path, tmp_path: Path) -> None:
    (tmp_path / "OUT").write_text("mine")
    ended = command(slides, "-o", tmp_path / "OUT", "-q")
    assert ended.status == 2
    assert (tmp_path / "OUT").read_text() == "mine"
