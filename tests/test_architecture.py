"""The order of the rooms, held by reading every import: those inside functions too."""

import ast
import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
ROOMS = (
    "read", "tissue", "preprocess", "tile", "results", "encode", "mil", "segment", "evaluate", "train", "predict", "export", "review", "engine", "cli",
)  # fmt: skip
"""Upstream first: a room imports only rooms before it, and the foundation (the modules right under wsi/)."""
NETWORKS = ("encode", "mil", "segment", "evaluate", "train", "predict")
"""Where torch and timm may load; export and review import none of these."""
APART = {("train", "predict"), ("predict", "train")}
TORCH = {"torch", "timm", "torchvision"}
PICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
CODE_RUNNERS = {"eval", "exec"}
LOADERS = {("torch", "load"), ("torch", "compile"), ("os", "system")}
BROAD = {"Exception", "BaseException"}
KINDS = re.compile(
    r"(?<![a-z])(fundus|retina|dermoscop|skin|x-?ray|chest)|radiograph|\bCT\b|\bMRI?\b|hippocamp|melanoma|ophthalm",
    re.IGNORECASE,
)
"""Kinds of examination and what they look at: one core reads all images, so no code may know them by name."""
KNOW_KINDS = ("read", "tissue")
"""Files say what they are, where they are read. A card's words come from its file."""


Nodes = tuple[ast.AST, ...]
"""Of a file, each once: to walk a tree takes longer than to read it."""


@dataclass(frozen=True, slots=True)
class Module:
    """One file of code: its dotted name, whether it is a package's __init__, and all that it says."""

    name: str
    is_package: bool
    nodes: Nodes

    @property
    def room(self) -> str:
        """The folder of wsi/ it lies in; "" for the foundation."""
        parts = self.name.split(".")
        return parts[1] if len(parts) > 1 and (self.is_package or len(parts) > 2) else ""


@functools.cache
def modules_of(root: Path) -> dict[str, Module]:
    """Return the modules below `root`/wsi by dotted name."""
    found = {}
    for path in sorted((root / "wsi").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if package else parts)
        found[name] = Module(name, package, _nodes_of(path))
    return found


def _nodes_of(path: Path) -> Nodes:
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))))


def imports_of(module: Module, known: Mapping[str, Module]) -> Iterator[str]:
    """Yield the full name of everything that `module` imports, wherever it stands in the file."""
    for node in module.nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(module, node)
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield inner if inner in known else base


def _absolute(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = module.name.split(".")
    parts = parts[: len(parts) - node.level + module.is_package]
    return ".".join([*parts, node.module] if node.module else parts)


def faults(root: Path) -> list[str]:
    """Return what breaks the order in the tree below `root`, one line each."""
    known = modules_of(root)
    imports = {name: set(imports_of(module, known)) for name, module in known.items()}
    found = [fault for name, module in known.items() for fault in _order(module, imports[name], known)]
    found += _cycles({name: {one for one in names if one in known} - {name} for name, names in imports.items()})
    found += chain.from_iterable(_kinds(module) for module in known.values())
    files = {name: module.nodes for name, module in known.items()} | dict(_scripts(root))
    found += chain.from_iterable(_manners(name, nodes) for name, nodes in files.items())
    broad = [place for name, nodes in files.items() for place in _broad_excepts(name, nodes)]
    if len(broad) > 1 or any(not place.startswith("wsi.engine.") for place in broad):
        found.append(f"one broad except is allowed, in wsi.engine; found {', '.join(broad)}")
    return found


def _scripts(root: Path) -> Iterator[tuple[str, Nodes]]:
    for path in sorted((root / "scripts").rglob("*.py")):
        yield str(path.relative_to(root)), _nodes_of(path)


def _order(module: Module, imported: set[str], known: Mapping[str, Module]) -> Iterator[str]:
    here = module.room
    if here and here not in ROOMS:
        yield f"{module.name}: no room of the river is called {here}"
        return
    place = ROOMS.index(here) if here else -1
    for name in sorted(imported):
        top = name.split(".")[0]
        if top in TORCH and here not in NETWORKS:
            yield f"{module.name}: {top} loads only in {', '.join(NETWORKS)}"
        if name not in known:
            continue
        there = known[name].room
        if there in ROOMS and ROOMS.index(there) > place:
            yield f"{module.name}: imports {name}, which lies downstream"
        if (here, there) in APART:
            yield f"{module.name}: imports {name}, but a model folder is all that train and predict share"
        if here in ("export", "review") and there in NETWORKS:
            yield f"{module.name}: imports {name}, but {here} knows results only, never a network"


def _cycles(graph: Mapping[str, set[str]]) -> Iterator[str]:
    """Yield each cycle of imports that a walk through the modules meets."""
    done: set[str] = set()

    def walk(name: str, path: tuple[str, ...]) -> Iterator[str]:
        if name in path:
            yield "cycle: " + " -> ".join((*path[path.index(name) :], name))
        elif name not in done:
            for following in sorted(graph[name]):
                yield from walk(following, (*path, name))
            done.add(name)

    for name in sorted(graph):
        yield from walk(name, ())


def _manners(name: str, nodes: Nodes) -> Iterator[str]:
    """Yield what no code may do: run or unpickle what a file says, hide a cycle, print outside the command line."""
    quiet = name.startswith("wsi") and not name.startswith("wsi.cli")
    for node in nodes:
        where = f"{name}:{getattr(node, 'lineno', 0)}"
        match node:
            case ast.Import(names=names) if {alias.name.split(".")[0] for alias in names} & PICKLERS:
                yield f"{where}: pickles are never written or read"
            case ast.ImportFrom(module=str(source)) if source.split(".")[0] in PICKLERS:
                yield f"{where}: pickles are never written or read"
            case ast.Call(func=ast.Name(id=called)) if called in CODE_RUNNERS:
                yield f"{where}: {called} runs what it is given"
            case ast.Call(func=ast.Name(id="print")) if quiet:
                yield f"{where}: print stands only in cli"
            case ast.Attribute(value=ast.Name(id=owner), attr=attribute) if (owner, attribute) in LOADERS:
                yield f"{where}: {owner}.{attribute} can run what it is given"
            case ast.Attribute(value=ast.Name(id="sys"), attr="stdout" | "stderr") if quiet:
                yield f"{where}: the terminal belongs to cli"
            case ast.keyword(arg="allow_pickle", value=ast.Constant(value=True)):
                yield f"{where}: pickles are never written or read"
            case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
                yield f"{where}: TYPE_CHECKING hides a cycle"


def _kinds(module: Module) -> Iterator[str]:
    """Yield where code names a kind of examination: in a name or a text; docstrings and comments are for people."""
    if module.room in KNOW_KINDS:
        return
    told = {id(node.value) for node in module.nodes if isinstance(node, ast.Expr)}
    for node in module.nodes:
        named = [getattr(node, part, None) for part in ("id", "attr", "name", "arg", "module")]
        if isinstance(node, ast.Constant) and id(node) not in told:
            named.append(node.value)
        for text in named:
            if isinstance(text, str) and (hit := KINDS.search(text)):
                yield f"{module.name}:{getattr(node, 'lineno', 0)}: knows of {hit[0]!r}; what a model reads is its card's to say"


def _broad_excepts(name: str, nodes: Nodes) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.ExceptHandler):
            kinds = [None] if node.type is None else ast.walk(node.type)
            if any(kind is None or (isinstance(kind, ast.Name) and kind.id in BROAD) for kind in kinds):
                yield f"{name}:{node.lineno}"


CLEAN = {
    "wsi/__init__.py": "",
    "wsi/errors.py": "class WsiError(Exception): ...",
    "wsi/config.py": "from wsi.errors import WsiError",
    "wsi/read/__init__.py": "from wsi.read.source import Source",
    "wsi/read/source.py": "from wsi.errors import WsiError\nclass Source: ...",
    "wsi/tissue/__init__.py": "from wsi.read import Source",
    "wsi/results/__init__.py": "from ..config import WsiError",
    "wsi/encode/__init__.py": "",
    "wsi/encode/load.py": "import torch\nimport timm",
    "wsi/train/__init__.py": "from wsi.encode.load import torch",
    "wsi/predict/__init__.py": "from wsi import encode",
    "wsi/export/__init__.py": "import wsi.tissue\nfrom wsi.results import config",
    "wsi/engine/__init__.py": "from wsi.predict import encode",
    "wsi/engine/worker.py": "try:\n    work = 1\nexcept Exception:\n    pass",
    "wsi/cli/__init__.py": "print('told')\nimport wsi.engine",
    "scripts/bench/speed.py": "print('told')",
}
PLANTED = {
    "upstream imports downstream": ("wsi/read/source.py", "from wsi.tissue import Source", "downstream"),
    "inside a function": ("wsi/read/source.py", "def f():\n    import wsi.engine", "downstream"),
    "by a relative import": ("wsi/read/source.py", "from ..tissue import Source", "downstream"),
    "the room itself": ("wsi/tissue/__init__.py", "from wsi import cli", "downstream"),
    "foundation imports a room": ("wsi/config.py", "from wsi.read import Source", "downstream"),
    "foundation imports torch": ("wsi/config.py", "import torch", "torch loads only in"),
    "torch in a room without networks": ("wsi/engine/__init__.py", "def f():\n    import torch.nn", "torch loads only"),
    "timm in export": ("wsi/export/__init__.py", "from timm import create_model", "timm loads only in"),
    "export imports a network": ("wsi/export/__init__.py", "from wsi.encode import load", "never a network"),
    "predict imports train": ("wsi/predict/__init__.py", "import wsi.train", "a model folder is all"),
    "train imports predict": ("wsi/train/__init__.py", "import wsi.predict", "a model folder is all"),
    "a drawer": ("wsi/utils/__init__.py", "", "no room of the river is called utils"),
    "a cycle in the foundation": ("wsi/errors.py", "def f():\n    from wsi.config import x", "cycle: wsi.config"),
    "a cycle in a room": ("wsi/read/source.py", "from wsi.read import Source", "cycle: wsi.read"),
    "a cycle hidden from running": ("wsi/read/source.py", "from typing import TYPE_CHECKING as T\nif TYPE_CHECKING: ...", "hides a cycle"),
    "a second broad except": ("wsi/engine/two.py", "try:\n    x = 1\nexcept (ValueError, Exception):\n    pass", "one broad"),
    "a bare except": ("wsi/engine/two.py", "try:\n    x = 1\nexcept:\n    pass", "one broad except"),
    "a broad except in scripts": ("scripts/x.py", "try:\n    x = 1\nexcept BaseException:\n    pass", "one broad except"),
    "print in a room": ("wsi/read/source.py", "print(1)", "print stands only in cli"),
    "the terminal in a room": ("wsi/export/__init__.py", "import sys\nsys.stdout.write('x')", "belongs to cli"),
    "pickle": ("wsi/encode/load.py", "from pickle import loads", "pickles are never"),
    "joblib in scripts": ("scripts/x.py", "import joblib", "pickles are never"),
    "pickled arrays": ("scripts/x.py", "import numpy\nnumpy.load('x', allow_pickle=True)", "pickles are never"),
    "torch.load": ("wsi/encode/load.py", "import torch\ntorch.load('x')", "torch.load can run"),
    "a kind of image in a condition": ("wsi/engine/two.py", "def f(kind): return kind == 'fundus'", "knows of 'fundus'"),
    "a code of a modality": ("wsi/predict/__init__.py", "kinds = {'CT': 1}", "knows of 'CT'"),
    "a function for one kind": ("wsi/export/__init__.py", "def chest_overlay(): ...", "knows of 'chest'"),
    "eval": ("wsi/config.py", "eval('1')", "eval runs what it is given"),
}  # fmt: skip


def write_tree(root: Path, files: Mapping[str, str]) -> None:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")


def test_imports_point_one_way() -> None:
    assert faults(CHECKOUT) == []


def test_broad_except_stands_in_one_place() -> None:
    found = [place for module in modules_of(CHECKOUT).values() for place in _broad_excepts(module.name, module.nodes)]
    assert len(found) == 1, found


def test_checker_reads_all_rooms() -> None:
    read = {module.room for module in modules_of(CHECKOUT).values()}
    assert read >= {"", "read", "tissue", "tile", "results", "encode", "mil", "predict", "export", "engine", "cli"}


def test_clean_tree_has_no_fault(tmp_path: Path) -> None:
    write_tree(tmp_path, CLEAN)
    assert faults(tmp_path) == []


@pytest.mark.parametrize("claim", PLANTED)
def test_planted_fault_is_found(claim: str, tmp_path: Path) -> None:
    name, content, told = PLANTED[claim]
    write_tree(tmp_path, CLEAN | {name: f"{CLEAN.get(name, '')}\n{content}\n"})
    found = faults(tmp_path)
    assert any(told in fault for fault in found), found
