"""Settings: YAML files read into strict, frozen models; each default is written once, here."""

import ast
import inspect
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wsi.errors import ConfigError, did_you_mean

MAX_YAML_BYTES = 1 << 20
_TEXT = "tag:yaml.org,2002:str"

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]


class Strict(BaseModel):
    """Base of every settings model: frozen, no unknown keys, no silent conversion of text to numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, protected_namespaces=())


class ReadConfig(Strict):
    """How slides are opened."""

    reader: str = "auto"
    """auto, or the name of one reader (openslide, tiffslide, dicom, image, or a plug-in)."""
    mpp: Positive | None = None
    """µm per px for slides that don't say; None refuses them."""
    mpp_table: str | None = None
    """CSV with columns slide, mpp (or mpp_x, mpp_y) for slides that don't say."""
    mpp_override: bool = False
    """Let `mpp` and `mpp_table` win over what the file says, and allow values outside 0.05-20."""
    scaled: bool = True
    """Take the px of JPEG slides at 1/2, 1/4 or 1/8 as they come out of the decoder, where tiles want no finer ones:
    several times faster, within 2 gray levels on average. false: decode all px, then resample."""


class TissueConfig(Strict):
    """Where to look."""

    mpp: Positive = 8.0
    """µm per px of the picture tissue is found on: fine enough for a biopsy core, small enough to hold."""
    min_area_mm2: Positive = 0.02
    """Smaller pieces are dust: 0.02 mm² is a 140 µm square."""
    min_hole_mm2: Positive = 0.02
    """Smaller holes are filled: lumina and tears inside tissue are tissue."""
    polygons: str | None = None
    """Folder of polygons that a person drew (GeoJSON, ASAP XML, ImageScope XML); only there is looked at."""


class TileConfig(Strict):
    """How the tissue is cut. None takes what the model says."""

    tile_px: Annotated[int, Field(ge=8, le=8192)] | None = None
    mpp: Positive | None = None
    overlap: Annotated[float, Field(ge=0.0, lt=0.95)] = 0.0
    """Share of a tile's side that the next tile repeats."""
    min_tissue: Share = 0.35
    """Least share of a tile that must be tissue."""
    max_unreadable: Share = 0.1
    """Above this share of unreadable tiles a slide gets no grade."""


class EncodeConfig(Strict):
    """How tiles become features."""

    encoder: str | None = None
    """Encoder name, folder, or timm:NAME. None takes the model's own."""
    weights: str | None = None
    """A local weights file for the encoder."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """What the encoder computes in. auto: on a GPU what its publishers run it in; on a CPU bf16, in all layers or
    after the first or the sixteenth, where the processor has it and the features stay the same (cosine above 0.9995 on
    drawn tiles), else fp32."""
    backend: Literal["torch", "openvino", "onnxruntime"] = "torch"
    """What runs the encoder. openvino, onnxruntime: on the CPU, faster, once `pip install "wsi-run[openvino]"` (or
    [onnxruntime]) is done. Their features are kept apart from torch's, so this is never chosen by itself."""
    fused: bool = True
    """On a CPU, torch does norms and activations together with the layers before them, twice as fast, where features stay
    the same but for rounding (cosine above 0.999999 on drawn tiles). false: layer by layer."""
    batch_size: Annotated[int, Field(ge=1, le=4096)] | None = None
    """None: fixed on a CPU, found by itself on a GPU."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""


class ExportConfig(Strict):
    """What is written for people."""

    origin: Literal["qupath", "level0"] = "qupath"
    """qupath: coordinates start at the slide's bounds, as QuPath shows it; level0: at the file's own origin."""
    heatmap_px: Annotated[int, Field(ge=64, le=8192)] = 1600
    """Longest side of heatmap.png."""
    top_tiles: Annotated[int, Field(ge=0, le=64)] = 12
    """How many of the tiles with the most attention the report shows."""


class EngineConfig(Strict):
    """How the work is run. Nothing here changes a result."""

    jobs: Annotated[int, Field(ge=1, le=256)] | None = None
    """Slides worked on at once. None: one on a CPU, two beside each GPU, which so encodes one while another is opened."""
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    """CPU threads of each encoder. None: the processor's cores over `jobs`."""
    decode_threads: Annotated[int, Field(ge=1, le=256)] | None = None
    """Threads that decode tiles for each encoder. None: one beside an encoder on the CPU, `threads` beside a GPU."""
    reader_memory_gb: Positive = 4.0
    """Memory a decoder process may take before it is stopped."""
    stall_s: Positive = 60.0
    """A decoder that shows no progress for so long is stopped and asked again once."""


class Config(Strict):
    """A whole run."""

    model: str | None = None
    """Model name or folder. None stops after the features."""
    accept_licence: list[str] = []
    """Terms that you keep, by the name in a model's card. A model whose terms need a word (non-commercial ones) runs only
    with it: CC-BY-NC-4.0."""
    read: ReadConfig = ReadConfig()
    tissue: TissueConfig = TissueConfig()
    tile: TileConfig = TileConfig()
    encode: EncodeConfig = EncodeConfig()
    export: ExportConfig = ExportConfig()
    engine: EngineConfig = EngineConfig()


def as_yaml(config: BaseModel, *, indent: str = "") -> str:
    """Return settings as YAML, each with what it means above it; `read_yaml` reads it back as it was."""
    lines, told = [], explanations(type(config))
    for name in type(config).model_fields:
        value = getattr(config, name)
        for text in told.get(name, "").splitlines():
            lines.append(f"{indent}# {text.strip()}")
        if isinstance(value, BaseModel):
            lines += [f"{indent}{name}:", as_yaml(value, indent=indent + "  ").rstrip("\n")]
        else:
            lines.append(f"{indent}{name}: {json.dumps(value, default=_plain, ensure_ascii=False)}")
    return "\n".join(lines) + "\n"


def explanations(model: type[BaseModel]) -> dict[str, str]:
    """Return what the source of a model says below its settings; pydantic would read it all whenever it is imported."""
    told: dict[str, str] = {}
    for one in reversed(model.__mro__[: model.__mro__.index(BaseModel)]):
        (found,) = ast.parse(inspect.getsource(one)).body
        assert isinstance(found, ast.ClassDef)
        for setting, below in itertools.pairwise(found.body):
            match setting, below:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    told[name] = inspect.cleandoc(text)
    return told


def _plain(value: object) -> object:
    """Return what stands in YAML for settings inside a list or a mapping."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_none=True)
    raise TypeError(f"no plain form of {value!r}")


M = TypeVar("M", bound=BaseModel)


class _Loader(yaml.SafeLoader):
    """Safe YAML that also refuses duplicate keys and aliases (which can unfold without end)."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="aliases (*name) are not allowed", problem_mark=mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag != _TEXT:
                raise yaml.MarkedYAMLError(
                    problem="a key must be a word; quote it if it is", problem_mark=key.start_mark
                )
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"key {key.value!r} stands twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


# YAML 1.1 takes 1e-4 for text: it asks for a point, which JSON, Python and people leave out.
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?\d+[eE][-+]\d+$"), [*"-+0123456789"])


def read_yaml(path: Path, into: type[M]) -> M:
    """Read a YAML file into a settings model.

    Raises:
        ConfigError: unreadable, not YAML, an unknown or duplicate key, a value of the wrong type or
            range; the message names file, line and near names.
    """
    text = _text(path)
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        content = None if root is None else loader.construct_document(root)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}{_where(error)}: not valid YAML: {_problem(error)}") from error
    try:
        return into.model_validate({} if content is None else content)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(path, root, into, one) for one in error.errors())) from error


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_YAML_BYTES + 1)  # never more: it may be a device that has no end
        if len(content) > MAX_YAML_BYTES:
            raise ConfigError(f"{path}: larger than {MAX_YAML_BYTES} bytes; this is not a settings file")
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    except OSError as error:
        raise ConfigError(f"{path}: can't be read ({error.strerror or error})") from error


def _where(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f":{mark.line + 1}" if mark else ""


def _problem(error: Exception) -> str:
    return getattr(error, "problem", None) or str(error).splitlines()[0]


def _explain(path: Path, root: Any, into: type[BaseModel], one: Any) -> str:
    keys = [key for key in one["loc"] if isinstance(key, str | int)]
    keys, line, model = _locate(root, into, keys)
    name = ".".join(map(str, keys))
    if one["type"] == "extra_forbidden":
        known = model.model_fields if model else {}
        near = did_you_mean(str(keys[-1]), known) or f" Known: {', '.join(known)}."
        return f"{path}:{line}: unknown key {name!r}.{near}"
    said = "expected settings, one a line and indented" if one["type"] == "model_type" else one["msg"]
    return f"{path}:{line}: {name or 'file'}: {said}; found {str(one.get('input'))[:80]!r}"


def _locate(root: Any, into: type[BaseModel], keys: list[Any]) -> tuple[list[Any], int, type[BaseModel] | None]:
    """Return the keys as they stand in the file, the line (from 1) of the node they lead to, and the model that holds it.

    Where a value may be one of several models, pydantic puts the chosen one's tag among the keys.
    """
    node, model, line = root, into, 1
    told: list[Any] = []
    choices: tuple[type[BaseModel], ...] = ()
    for depth, key in enumerate(keys):
        chosen = next((one for one in choices if _is_called(one, key)), None)
        if chosen is not None:
            model, choices = chosen, ()
            continue
        told.append(key)
        found = _step(node, key)
        if found is None:
            told += keys[depth + 1 :]
            break
        line, node = found
        if depth < len(keys) - 1 and isinstance(key, str):
            field = model.model_fields.get(key) if model else None
            choices = tuple(_models_in(field.annotation)) if field else ()
            model = choices[0] if choices else None  # type: ignore[assignment]
            choices = choices if len(choices) > 1 else ()
    return told, line, model


def _is_called(model: type[BaseModel], key: object) -> bool:
    """Return whether pydantic means this one of several models by a key: by its name, or the value of its first field."""
    first = next(iter(model.model_fields.values()), None)
    return isinstance(key, str) and (key == model.__name__ or (first is not None and key in get_args(first.annotation)))


def _step(node: Any, key: str | int) -> tuple[int, Any] | None:
    """Return the line of the entry `key` of a mapping or list, and its value; None when there is none."""
    if isinstance(node, yaml.MappingNode):
        return next(((k.start_mark.line + 1, v) for k, v in node.value if k.value == str(key)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
        return node.value[key].start_mark.line + 1, node.value[key]
    return None


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the settings models that a field may hold, be it alone, optional, one of several or in a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    else:
        for inner in get_args(annotation):
            yield from _models_in(inner)
