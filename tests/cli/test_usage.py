"""Wrong usage: exit 2, what was found, what was expected, the near name; never a traceback."""

from pathlib import Path

import pytest

from tests.cli.conftest import Run


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("tisue", "neither a command nor a file or folder. Did you mean 'tissue'"),
        ("expotr OUT", "Did you mean 'export'"),
        ("no-such-folder", "Missing option"),
        ("no-such-folder -o OUT", "no-such-folder: no such file or folder"),
        ("run no-such-folder -o OUT", "no-such-folder: no such file or folder"),
        ("empty -o OUT", "no slides found; expected files that"),
        ("run empty", "Missing option '-o'"),
        ("run -o OUT", "Missing argument 'SLIDES'"),
        ("empty more -o OUT", "unexpected extra argument (more)"),
        ("empty -o OUT --modle tumor", "'--model'"),
        ("empty -o OUT --mpp fine", "'fine' is not a valid float"),
        ("empty -o OUT --mpp 0", "E_USAGE: --mpp: Input should be greater than 0; found 0.0"),
        ("empty -o OUT --mpp nan", "E_USAGE: --mpp: "),
        ("empty -o OUT --overlap 1", "--overlap: Input should be less than 0.95"),
        ("empty -o OUT --tile-px 4", "--tile-px: Input should be greater than or equal to 8"),
        ("empty -o OUT -j 0", "--jobs: Input should be greater than or equal to 1"),
        ("empty -o OUT --precision fp64", "'fp64' is not one of 'auto', 'fp32', 'bf16', 'fp16'"),
        ("empty -o OUT -m tumr", "model 'tumr': no such name and no folder with a model.yaml. Did you mean 'tumor'?"),
        ("empty -o OUT -m empty", "no such name and no folder with a model.yaml"),
        ("encode empty -o OUT --encoder resnet50-imagent", "Did you mean 'resnet50-imagenet'"),
        ("empty -o OUT -m tumor --encoder resnet50-imagenet", "was trained with encoder mobilenetv2-imagenet"),
        ("empty -o OUT -m tumor --tile-px 256", "was trained with tile_px 224, but 256 is asked for"),
        ("empty -o OUT -m tumor --tile-mpp 0.5", "was trained with mpp 1.0, but 0.5 is asked for"),
        ("empty -o OUT -c tumer", "tumer: no such settings file. Did you mean 'tumor'?"),
        ("empty -o OUT -c zzz", "Shipped: chest, features, hippocampus"),
        ("empty -o OUT -c empty", "empty: can't be read (Is a directory)"),
        ("empty -o OUT --mpp-table none.csv", "none.csv: expected a CSV file"),
        ("empty -o OUT --mpp-table wrong.csv", "expected the columns slide and mpp (or mpp_x and mpp_y), found name, um"),
        ("slides -o slides", "-o slides: results would lie among the slides"),
        ("slides -o .", "-o .: results would lie among the slides in slides; give a folder of its own"),
        ("slides -o OUT --tissue none", "--tissue none: not a folder"),
        ("config validate no-such", "no such settings file"),
        ("config validate broken.yaml", "broken.yaml:2: unknown key 'tile.overlp'. Did you mean 'overlap'?"),
        ("config shwo tumor", "Did you mean 'show'?"),
        ("models chek x", "Did you mean 'check'?"),
        ("models check uni2h", "Did you mean 'uni2-h'"),
        ("export empty", "no results here"),
        ("export no-such", "no-such"),
        ("export empty --origin level1", "'level1' is not one of 'qupath', 'level0'"),
        ("verify no-such", "no-such"),
    ],
)  # fmt: skip
def test_wrong_usage_is_told(line: str, told: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("slides").mkdir()
    Path("slides", "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    Path("broken.yaml").write_text("tile:\n  overlp: 0.5\n")
    Path("wrong.csv").write_text("name,um\na,1\n")
    ended = run(*line.split())
    assert ended.status == 2, ended
    assert told in " ".join(ended.stderr.split()), ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""
    assert not Path("OUT").exists(), "nothing may be written"


@pytest.mark.parametrize("name", ["tissue", "export"])
def test_folder_named_like_a_command_is_a_folder_when_its_path_says_so(
    name: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).mkdir()
    assert "no slides found" in run(f"./{name}", "-o", "OUT").stderr


def test_folder_with_a_name_near_a_command_is_taken_for_slides(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tissues").mkdir()
    assert "tissues: no slides found" in run("tissues", "-o", "OUT").stderr


def test_control_characters_of_a_name_dont_reach_the_terminal(run: Run, tmp_path: Path) -> None:
    ended = run(tmp_path / "a\x1b[31mred", "-o", tmp_path / "OUT")
    assert ended.status == 2
    assert "\x1b" not in ended.stderr
