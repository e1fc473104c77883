"""Settings files: each default survives a round trip, and every way to break a file is told with its place."""

import codecs
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from wsi.config import MAX_YAML_BYTES, Config, Strict, as_yaml, explanations, read_yaml
from wsi.errors import ConfigError
from wsi.train.dense_settings import MaskConfig
from wsi.train.picture_settings import PictureConfig
from wsi.train.settings import TrainConfig

CHECKOUT = Path(__file__).parents[1]

SECTIONS = {name: field.default for name, field in Config.model_fields.items() if isinstance(field.default, BaseModel)}
FIELDS = [("", "model")] + [(name, key) for name, section in SECTIONS.items() for key in type(section).model_fields]
TEXTS = {"model", "reader", "mpp_table", "polygons", "encoder", "weights", "precision", "device", "origin"}
SWITCHES = {"fused", "mpp_override", "scaled"}


@dataclass(frozen=True, slots=True)
class Broken:
    """A settings file that must be refused: its bytes, the line at fault (None: not said) and what is told."""

    name: str
    content: bytes
    line: int | None
    told: tuple[str, ...]


def setting(section: str, key: str, value: str) -> tuple[str, int]:
    """Return a settings file with one value, and the line that it stands on."""
    return (f"# mine\n{section}:\n  {key}: {value}\n", 3) if section else (f"# mine\n\n{key}: {value}\n", 3)


def misspelled_keys() -> Iterator[Broken]:
    """Every key with a letter missing, a letter doubled, and the last two swapped."""
    for section, key in [*FIELDS, *(("", name) for name in SECTIONS)]:
        known = set(Config.model_fields) if not section else set(type(SECTIONS[section]).model_fields)
        for wrong in (key[:-2] + key[-1], key[:2] + key[1:], key[:-2] + key[:-3:-1]):
            if wrong not in known:
                text, line = setting(section, wrong, "1")
                told = ("unknown key", repr(f"{section}.{wrong}".strip(".")), "Did you mean", repr(key))
                yield Broken(f"key {section}.{wrong}", text.encode(), line, told)


def wrong_types() -> Iterator[Broken]:
    """Every field with values of other types; text never turns into a number, nor a number into text."""
    for section, key in FIELDS:
        values = ["[1, 2]", "{a: 1}", "1" if key in SWITCHES else "true"]
        values += ["12"] if key in TEXTS else ["word", "'1'"]
        for value in values:
            text, line = setting(section, key, value)
            yield Broken(f"type {section}.{key} {value}", text.encode(), line, (f"{section}.{key}".strip("."), "found"))


def out_of_range() -> Iterator[Broken]:
    """Numbers that no run can use."""
    for section, key in FIELDS:
        if key in TEXTS | SWITCHES:
            continue
        for value in (".nan", ".inf", "-.inf", "-1", "1" + "0" * 400):
            text, line = setting(section, key, value)
            yield Broken(f"range {section}.{key} {value[:6]}", text.encode(), line, (f"{section}.{key}",))
    for section, key, value in (
        ("encode", "precision", "fp8"),
        ("export", "origin", "qupth"),
        ("tile", "overlap", "0.95"),
        ("tile", "min_tissue", "1.01"),
        ("tile", "tile_px", "224.5"),
        ("engine", "jobs", "0"),
    ):
        text, line = setting(section, key, value)
        yield Broken(f"range {section}.{key} {value}", text.encode(), line, (f"{section}.{key}", value))


def duplicates() -> Iterator[Broken]:
    """Every section and every key twice: which one counts would be a guess."""
    for name in SECTIONS:
        yield Broken(f"twice {name}", f"{name}: {{}}\n# between\n{name}: {{}}\n".encode(), 3, (repr(name), "twice"))
    for section, key in FIELDS[1:]:
        text = f"{section}:\n  {key}: null\n  {key}: null\n"
        yield Broken(f"twice {section}.{key}", text.encode(), 3, (repr(key), "twice"))


def not_plain_yaml() -> Iterator[Broken]:
    """Tags that make objects, aliases that unfold, and text that is no mapping of words."""
    tags = (
        "python/object/apply:os.system ['true']",
        "python/name:os.system",
        "python/module:os",
        "python/tuple [1]",
        "own 1",
    )
    for tag in tags:
        prefix = "!" if tag == "own 1" else "!!"
        yield Broken(f"tag {tag}", f"# mine\nmodel: {prefix}{tag}\n".encode(), 2, ("not valid YAML", "tag"))
    laughs = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{b}: &{b} [*{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}]\n"
        for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    yield Broken("bomb of aliases", laughs.encode(), 2, ("aliases",))
    yield Broken("alias of itself", b"model: &a [*a]\n", 1, ("aliases",))
    yield Broken("merge key", b"read: &a {mpp: 1.0}\ntile:\n  <<: *a\n", 3, ("aliases",))
    yield Broken("bomb of lists", b"model: " + b"[" * 50_000, None, ("not valid YAML",))
    yield Broken("bomb of mappings", b"model: " + b"{a: " * 50_000, None, ("not valid YAML",))
    yield Broken("bomb of digits", b"tile:\n  tile_px: " + b"9" * 100_000 + b"\n", None, ())
    yield Broken("too large", b"# " + b"x" * MAX_YAML_BYTES, None, ("larger than",))
    for name, text, line in (
        ("list", "- model\n", 1), ("word", "model\n", 1), ("number", "12\n", 1), ("true", "true\n", 1), ("date", "2024-01-31\n", 1),
        ("wrong date", "model: 2024-13-45\n", None), ("two documents", "model: a\n---\nmodel: b\n", 2), ("tab", "read:\n\tmpp: 1.0\n", 2),
        ("open quote", 'model: "tumor\n', 2), ("open list", "model: [tumor\n", 2), ("open mapping", "read: {mpp: 1.0\n", 2),
        ("two values", "model: a: b\n", 1), ("no indent", "read:\nmpp: 1.0\n", 1), ("list as key", "# mine\n? [a]\n: b\n", 2),
        ("mapping as key", "# mine\n? {a: 1}\n: b\n", 2), ("number as key", "# mine\n1: 2\n", 2), ("null as key", "# mine\nnull: 2\n", 2),
        ("directive", "%YAML 9.9\n---\nmodel: a\n", 1), ("unknown escape", 'model: "\\q"\n', 1), ("section as word", "read: auto\n", 1),
        ("section as list", "# mine\ntile: [1]\n", 2), ("anchor alone", "model: &\n", 1), ("block without end", "model: |9x\n", 1),
        ("binary", "model: !!binary aGk=\n", 1), ("set", "model: !!set {a}\n", 1),
    ):  # fmt: skip
        yield Broken(f"yaml {name}", text.encode(), line, ())


def wrong_encodings() -> Iterator[Broken]:
    """Text of other encodings, and what is no text."""
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1252", "cp500"):
        yield Broken(f"encoding {encoding}", "model: tumör\n".encode(encoding), None, ("UTF-8",))
    for name, content in (
        ("surrogate", b"model: \xed\xa0\x80\n"), ("overlong", b"model: \xc0\xaf\n"), ("gzip", codecs.encode(b"model: a", "zlib")),
        ("zip", b"PK\x03\x04\xff\xfe"), ("picture", b"\x89PNG\r\n\x1a\n"), ("jpeg", b"\xff\xd8\xff\xe0"),
    ):  # fmt: skip
        yield Broken(f"bytes {name}", content, None, ())
    for name, char in (
        ("NUL", "\0"),
        ("bell", "\a"),
        ("escape", "\x1b[2J"),
        ("delete", "\x7f"),
        ("not a character", "\ufffe"),
    ):
        yield Broken(f"character {name}", f"# mine\nmodel: a{char}b\n".encode(), None, ("not valid YAML",))


BROKEN = [
    *misspelled_keys(), *wrong_types(), *out_of_range(), *duplicates(), *not_plain_yaml(), *wrong_encodings(),
]  # fmt: skip


def test_hundreds_of_broken_files_are_tried() -> None:
    assert len(BROKEN) >= 300
    assert len({one.name for one in BROKEN}) == len(BROKEN)


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name)
def test_broken_file_is_refused_with_its_place(broken: Broken, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(broken.content)
    with pytest.raises(ConfigError) as caught:
        read_yaml(path, Config)
    message = str(caught.value)
    assert message.startswith(f"{path}:{broken.line}: " if broken.line else f"{path}:"), message
    assert all(part in message for part in broken.told), message
    assert len(message) < 2000
    assert all(char.isprintable() or char == "\n" for char in message), repr(message)


def test_defaults_survive_the_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(as_yaml(Config()), encoding="utf-8")
    assert read_yaml(path, Config) == Config()


def test_every_field_survives_the_round_trip(tmp_path: Path) -> None:
    other: dict[str, Any] = {
        "model": "models/mine: odd # name",
        "read": {"reader": "dicom", "mpp": 0.25, "mpp_table": "µ table.csv", "mpp_override": True, "scaled": False},
        "tissue": {"mpp": 4.0, "min_area_mm2": 0.1, "min_hole_mm2": 0.2, "polygons": "drawn"},
        "tile": {"tile_px": 256, "mpp": 0.5, "overlap": 0.25, "min_tissue": 0.5, "max_unreadable": 0.0},
        "encode": {
            "encoder": "x",
            "weights": "w",
            "precision": "bf16",
            "backend": "openvino",
            "fused": False,
            "batch_size": 8,
            "device": "cuda:1",
        },
        "export": {"origin": "level0", "heatmap_px": 800, "top_tiles": 0},
        "engine": {"jobs": 2, "threads": 3, "decode_threads": 2, "reader_memory_gb": 1.5, "stall_s": 5.0},
    }
    wanted = Config.model_validate(other)
    assert all(
        getattr(getattr(wanted, section) if section else wanted, key)
        != getattr(SECTIONS[section] if section else Config(), key)
        for section, key in FIELDS
    ), "a field was forgotten above"
    path = tmp_path / "mine.yaml"
    path.write_text(as_yaml(wanted), encoding="utf-8")
    assert read_yaml(path, Config) == wanted


def test_json_is_read_as_settings(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"model": "tumor", "tile": {"overlap": 0.5}}, indent=1))
    assert read_yaml(path, Config).tile.overlap == 0.5


@pytest.mark.parametrize("content", [b"", b"# nothing\n", b"---\n", b"null\n", b"\xef\xbb\xbf", b"{}"])
def test_empty_file_means_all_defaults(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    assert read_yaml(path, Config) == Config()


def test_byte_order_mark_and_carriage_returns_are_read_over(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(codecs.BOM_UTF8 + b"model: tumor\r\ntile:\r\n  overlap: 0.5\r\n")
    assert read_yaml(path, Config).model == "tumor"


def test_whole_numbers_are_taken_for_floats(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("tile:\n  mpp: 1\n")
    assert read_yaml(path, Config).tile.mpp == 1.0


@pytest.mark.parametrize("written", ["1e-4", "1E-04", "1.0e-4", "0.0001", "10e-5"])
def test_small_numbers_are_read_as_people_and_programs_write_them(written: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"fit:\n  learning_rate: {written}\n")
    assert read_yaml(path, TrainConfig).fit.learning_rate == pytest.approx(1e-4)


def test_small_number_survives_the_round_trip(tmp_path: Path) -> None:
    wanted = TrainConfig.model_validate({"fit": {"learning_rate": 1e-5}})
    path = tmp_path / "mine.yaml"
    path.write_text(as_yaml(wanted), encoding="utf-8")
    assert read_yaml(path, TrainConfig) == wanted


def test_all_faults_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("modl: x\ntile:\n  overlap: 2.0\n  tile_pxx: 1\n")
    with pytest.raises(ConfigError) as caught:
        read_yaml(path, Config)
    assert {line.split(": ")[0] for line in str(caught.value).splitlines()} == {f"{path}:{n}" for n in (1, 3, 4)}


def test_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_yaml(tmp_path / "none.yaml", Config)


def test_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Is a directory"):
        read_yaml(tmp_path, Config)


def test_endless_file_is_not_read_to_its_end() -> None:
    with pytest.raises(ConfigError, match="larger than"):
        read_yaml(Path("/dev/zero"), Config)


class _Inner(Strict):
    height: int = 1


class _Outer(Strict):
    maybe: _Inner | None = None
    many: list[_Inner] = []


@pytest.mark.parametrize(
    ("text", "line"), [("maybe:\n  hight: 2\n", 2), ("many:\n  - height: 1\n  - height: 1\n    hight: 2\n", 4)]
)
def test_near_names_are_found_inside_optional_and_listed_settings(text: str, line: int, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=rf":{line}: unknown key .*hight'\. Did you mean 'height'\?"):
        read_yaml(path, _Outer)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Config().tile.overlap = 0.5


SHIPPED: dict[str, type[Strict]] = {
    "chest": PictureConfig,
    "features": Config,
    "hippocampus": MaskConfig,
    "retina": PictureConfig,
    "retina-vessels": MaskConfig,
    "skin": PictureConfig,
    "train": TrainConfig,
    "tumor": Config,
    "tumor-training": TrainConfig,
}


@pytest.mark.parametrize("name", sorted(path.stem for path in (CHECKOUT / "configs").iterdir()))
def test_shipped_recipe_is_good_explained_and_shown_whole(name: str, tmp_path: Path) -> None:
    path = CHECKOUT / "configs" / f"{name}.yaml"
    config = read_yaml(path, SHIPPED[name])
    assert sum(line.lstrip().startswith("#") for line in path.read_text().splitlines()) >= 3
    (tmp_path / "whole.yaml").write_text(as_yaml(config))
    assert read_yaml(tmp_path / "whole.yaml", SHIPPED[name]) == config


def test_every_field_is_explained() -> None:
    silent = [(section, key) for section, key in FIELDS[1:] if not explanations(type(SECTIONS[section])).get(key)]
    assert silent == [("tile", "tile_px"), ("tile", "mpp")], "only what the section explains may be silent"
