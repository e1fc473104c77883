"""`wsi-run config`, and how options lie over a settings file."""

from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from wsi.cli import options
from wsi.cli.export import command as export
from wsi.cli.options import option_of, settings
from wsi.cli.run import command
from wsi.cli.settings import config_from
from wsi.config import Config, read_yaml
from wsi.errors import UsageError


def test_init_prints_a_file_that_validates(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text(run("config", "init").stdout)
    assert read_yaml(path, Config) == Config(model="tumor")
    ended = run("config", "validate", path)
    assert (ended.status, ended.stdout) == (0, f"{path}: good\n")


@pytest.mark.parametrize("name", ["tumor", "features"])
def test_show_prints_a_shipped_recipe_with_all_defaults(name: str, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "shown.yaml"
    path.write_text(run("config", "show", name).stdout)
    assert read_yaml(path, Config) == read_yaml(Path(__file__).parents[2] / "configs" / f"{name}.yaml", Config)
    assert "stall_s: 60.0" in path.read_text()


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[2] / "configs").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_shipped_recipe_is_shown_as_a_file_that_validates(path: Path, run: Run, tmp_path: Path) -> None:
    shown = tmp_path / "shown.yaml"
    shown.write_text(run("config", "show", path.stem).stdout)
    assert run("config", "validate", shown).stdout == f"{shown}: good\n"
    assert run("config", "show", shown).stdout == shown.read_text()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"tile:\n  overlp: 0.5\n", ":2: unknown key 'tile.overlp'. Did you mean 'overlap'?"),
        (b"model: a\nmodel: b\n", ":2: not valid YAML: key 'model' stands twice"),
        (b"tile:\n  overlap: much\n", ":2: tile.overlap: Input should be a valid number; found 'much'"),
        (b"model: !!python/name:os.system\n", ":1: not valid YAML"),
        (b"a: &a [x]\nb: [*a, *a]\n", ":2: not valid YAML: aliases (*name) are not allowed"),
        (b"model: \xff\n", ": not UTF-8 text (byte 7)"),
    ],
)
@pytest.mark.parametrize("words", ["config validate", "config show", "run SLIDES -o OUT -c"])
def test_broken_file_ends_any_command_with_2(content: bytes, told: str, words: str, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    ended = run(*words.split(), path)
    assert ended.status == 2
    assert ended.stderr == f"wsi-run: E_CONFIG: {path}{told}\n" or told in ended.stderr
    assert ended.stdout == ""


def test_options_win_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("model: tumor\ntile: {overlap: 0.5, min_tissue: 0.1}\n")
    config = config_from({"config": path, "overlap": 0.25, "mpp": 0.5, "jobs": None, "mpp_override": False})
    assert (config.tile.overlap, config.tile.min_tissue, config.read.mpp, config.engine.jobs) == (0.25, 0.1, 0.5, None)


def test_without_a_file_the_tumor_recipe_counts() -> None:
    assert config_from({}).model == "tumor"


@pytest.mark.parametrize(
    "given",
    [
        {"device": "cpu"},
        {"precision": "fp32"},
        {"backend": "torch"},
        {"batch_size": 8},
        {"weights": Path("a.safetensors")},
    ],
    ids=str,
)
def test_how_to_encode_leaves_the_tumor_recipe(given: dict[str, Any]) -> None:
    assert config_from(given).model == "tumor"


def test_an_encoder_alone_means_no_grade() -> None:
    assert config_from({"encoder": "resnet50-imagenet"}).model is None


def test_a_model_on_the_command_line_needs_no_recipe() -> None:
    assert config_from({"model": "mine"}).model == "mine"


def test_wrong_option_is_named() -> None:
    with pytest.raises(UsageError, match=r"^--overlap: .*found 2\.0"):
        config_from({"overlap": 2.0})


def test_a_setting_is_told_by_the_option_that_sets_it() -> None:
    told = {option_of(keys) for keys in options._KEYS.values()}
    assert told <= {name for option in [*command.params, *export.params] for name in option.opts}
    assert option_of(("engine", "stall_s")) == "engine.stall_s"


def test_every_option_becomes_a_setting_that_exists() -> None:
    known = {name: field.default for name, field in Config.model_fields.items()}
    for name, keys in options._KEYS.items():
        assert keys[0] in known, name
        assert len(keys) == 1 or keys[1] in type(known[keys[0]]).model_fields, name


def test_no_option_of_a_run_is_lost() -> None:
    own = {"slides", "out", "config", "dry_run", "quiet", "profile", "as_json"}
    names = {option.name for option in command.params}
    assert names - own == set(options._KEYS) - {"origin", "heatmap_px"}


def test_options_left_out_change_nothing() -> None:
    given = {name: False if name == "mpp_override" else None for name in options._KEYS}
    assert settings(given) == {}
