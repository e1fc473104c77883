"""From a settings file and options to one checked Config."""

import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from wsi.cli.options import DEFAULT_RECIPE, option_of, settings
from wsi.config import Config, read_yaml
from wsi.errors import ConfigError, UsageError, did_you_mean
from wsi.resources import shipped


def config_from(given: dict[str, Any]) -> Config:
    """Return the settings of a command: the file's, with the options over them.

    Raises:
        ConfigError: a wrong file. UsageError: a wrong option.
    """
    named, has_model, has_encoder = given.get("config"), bool(given.get("model")), bool(given.get("encoder"))
    if named is None and not (has_model or has_encoder):
        named = Path(DEFAULT_RECIPE)
    base = read_yaml(find_config(named), Config) if named is not None else Config()
    if has_encoder and not has_model:
        base = base.model_copy(update={"model": None})
    return merge_settings(base, given)


def merge_settings(base: Config, given: dict[str, Any]) -> Config:
    """Return `base` with the options that were given over it; UsageError for a wrong one."""
    try:
        return Config.model_validate(_merged(base.model_dump(), settings(given)))
    except ValidationError as error:
        first = error.errors()[0]
        name = option_of(tuple(map(str, first["loc"])))
        raise UsageError(f"{name}: {first['msg']}; found {first['input']!r}") from error


def find_config(named: Path) -> Path:
    """Return a settings file by path, or a shipped one by name."""
    if named.exists():
        return named
    names = {path.stem: path for path in shipped("configs").glob("*.yaml")}
    if str(named) in names:
        return names[str(named)]
    hint = did_you_mean(str(named), names) or f" Shipped: {', '.join(sorted(names))}."
    raise ConfigError(f"{named}: no such settings file.{hint}")


def schema_of(path: Path) -> type[BaseModel]:
    """Return what a settings file is of: a kind of training, when it has a section that only those have; else a run."""
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError:
        return Config  # reading it then says what is wrong
    sections = set(re.findall(r"^(\w+):", text, flags=re.MULTILINE))
    if "asked" in sections:
        from wsi.train.picture_settings import PictureConfig

        return PictureConfig
    if "structures" in sections:
        from wsi.train.dense_settings import MaskConfig

        return MaskConfig
    if not sections & {"data", "target", "head", "fit", "splits", "search"}:
        return Config
    from wsi.train.settings import TrainConfig

    return TrainConfig


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        merged[key] = _merged(merged.get(key) or {}, value) if isinstance(value, dict) else value
    return merged
