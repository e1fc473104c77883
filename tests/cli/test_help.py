"""Help: at once, complete, with an example for each command."""

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version

import click
import pytest

from tests.cli.conftest import Run
from tests.traps import CHECKOUT
from wsi import __version__
from wsi.cli.main import COMMANDS, app

HEAVY = (
    "torch",
    "timm",
    "numpy",
    "scipy",
    "h5py",
    "pydantic",
    "yaml",
    "PIL",
    "shapely",
    "openslide",
    "wsi.read",
    "wsi.engine",
)


def commands(group: click.Group = app, names: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command and subcommand with its words."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*names, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*names, name))


def modules_after(*arguments: str) -> set[str]:
    """Return the modules that are loaded after `wsi-run` was called in a process of its own."""
    code = "import atexit, sys; atexit.register(lambda: print('\\n'.join(sys.modules), file=sys.stderr)); "
    code += f"sys.argv = ['wsi-run', *{list(arguments)!r}]; from wsi.cli import main; main()"
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return set(ended.stderr.split())


@pytest.mark.parametrize(
    "arguments", [("--help",), ("--version",), ("run", "--help"), ("models", "--help"), ("config", "init", "-h")]
)
def test_help_loads_nothing_heavy(arguments: tuple[str, ...]) -> None:
    loaded = modules_after(*arguments)
    assert "click" in loaded
    assert sorted(loaded & set(HEAVY)) == []


def test_help_names_every_command_and_the_first_steps(run: Run) -> None:
    ended = run("--help")
    assert ended.status == 0
    assert all(f"\n  {name} " in ended.stdout for name in COMMANDS)
    assert "wsi-run SLIDES -o OUT" in ended.stdout
    assert "Research use only" in ended.stdout


def test_no_arguments_show_the_help(run: Run) -> None:
    assert run() == run("--help")


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize("words", [words for words, _ in commands()], ids=" ".join)
def test_every_command_explains_itself(words: tuple[str, ...], flag: str, run: Run) -> None:
    ended = run(*words, flag)
    assert ended.status == 0
    assert ended.stdout.startswith(f"Usage: wsi-run {' '.join(words)}")


@pytest.mark.parametrize(
    ("words", "command"), list(commands()), ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_every_command_has_an_example_and_says_what_its_options_do(
    words: tuple[str, ...], command: click.Command
) -> None:
    start = "wsi-run SLIDES" if words == ("run",) else f"wsi-run {' '.join(words)}"
    assert command.help is not None
    assert start in command.help
    silent = [option.name for option in command.params if isinstance(option, click.Option) and not option.help]
    assert silent == []


def test_command_list_tells_what_the_commands_are_called() -> None:
    assert {name: command.name for (name, *rest), command in commands() if not rest} == {
        name: name for name in COMMANDS
    }


def test_version_is_that_of_the_package(run: Run) -> None:
    ended = run("--version")
    assert ended.status == 0
    assert ended.stdout == f"wsi-run, version {__version__}\n"


def test_installed_package_has_the_version_of_the_code() -> None:
    try:
        installed = version("wsi-run")
    except ModuleNotFoundError:
        pytest.skip("the checkout isn't installed here")
    assert installed == __version__
