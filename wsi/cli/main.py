"""The group of commands, how errors end it, and with which exit code."""

import contextlib
import errno
import gc
import importlib
import io
import os
import signal
import sys
from types import FrameType

import click

from wsi import __version__
from wsi.errors import ModelError, UsageError, WsiError, did_you_mean
from wsi.printable import spelled_name
from wsi.resources import collect_seldom, hold_memory

COMMANDS = {
    "run": "Grade slides: heatmaps, QuPath annotations and a report (the default command).",
    "tissue": "Find the tissue only.",
    "tile": "Find the tissue and plan the tiles.",
    "encode": "Go as far as features.h5 (no grade).",
    "predict": "Go as far as the grade (no files for people).",
    "evaluate": "Measure predictions against labels, with intervals.",
    "explain": "Show where in one picture a model's score comes from.",
    "export": "Redo heatmaps, annotations and the report from existing results.",
    "dicom-seg": "Write a volume's mask as a DICOM segmentation on its series (carries UIDs).",
    "review": "Open the review page over OUT in the browser.",
    "audit": "Check the log of decisions, and take in decisions from a file.",
    "train": "Train a model on labels and features, and test it on patients it never saw.",
    "train-masks": "Train a model that marks structures, on images and their masks.",
    "finetune": "Fine-tune an encoder on labeled tiles.",
    "shortcuts": "Ask whether color, size or site alone tell the label.",
    "models": "List, check and fetch models and encoders.",
    "config": "Make, show and check a settings file.",
    "doctor": "Check this machine and installation.",
    "verify": "Name every file of OUT in which a byte changed.",
}
DEFAULT = "run"
EXIT_BUG, EXIT_USAGE, EXIT_NOT_OK = 1, 2, 3
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_OF_THE_PLACE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ESTALE, errno.ENOTCONN}
"""What rights, disks and mounts are at fault for."""
RESUME = "stopped; what is done stays done: run the same command again to go on"


class Stopped(BaseException):
    """A signal asked the run to end; carries the exit code."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


class Commands(click.Group):
    """Commands by name, imported only when asked for; an argument that is none of them belongs to `run`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"wsi.cli.{name.replace('-', '_')}").command
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {"--help", "-h", "--version"}
        args = args or ["--help"]
        if args[0] not in own and args[0] not in COMMANDS:
            near = did_you_mean(args[0], COMMANDS)
            if near and not os.path.lexists(args[0]):
                raise click.UsageError(f"{args[0]!r} is neither a command nor a file or folder.{near}", ctx)
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # click would end with 1, which means a bug
            return _reader_left()

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="wsi-run")
def app() -> None:
    """Grade whole slides: a folder of slides in; grades, heatmaps, QuPath annotations and a report out.

    \b
      wsi-run SLIDES -o OUT                  grade every slide of a folder with the shipped tumor model
      wsi-run SLIDES -o OUT --dry-run        show what would be done
      wsi-run SLIDES -o OUT --mpp 0.25       for slides that don't say their scale
      wsi-run encode SLIDES -o OUT --encoder mobilenetv2-imagenet
      wsi-run export OUT                     redo the pictures and the report

    Research use only. Not for diagnosis. `wsi-run COMMAND --help` explains each command.
    """


def main() -> None:
    """Run the command line and exit with its code."""
    _open_closed()
    _spell_out()
    for number in SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # what nohup ignores stays so
            signal.signal(number, _stop)
    collect_seldom()
    hold_memory()
    code = _run()
    gc.freeze()  # else all that was loaded is searched for garbage before the process ends
    sys.exit(code)


def _open_closed() -> None:
    """Let standard streams that the shell closed lead nowhere: no file of ours may get their numbers."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, this one
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def _spell_out() -> None:
    """Let what a terminal's encoding lacks be spelled out: a name in another alphabet is no reason to stop."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _stop(number: int, _frame: FrameType | None) -> None:
    for other in SIGNALS:  # a second Ctrl-C changes nothing: the end is near
        signal.signal(other, signal.SIG_IGN)
    raise Stopped(number)


def _run() -> int:
    try:
        code = app.main(prog_name="wsi-run", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _say(RESUME, 128 + signal.SIGINT)
    except Stopped as stopped:
        return _say(RESUME, stopped.exit_code)
    except BrokenPipeError:
        return _reader_left()
    except WsiError as error:
        code = EXIT_USAGE if isinstance(error, UsageError | ModelError) else EXIT_NOT_OK
        return _say(f"{error.code}: {error}", code)
    except OSError as error:
        if error.errno in _OF_THE_PLACE and isinstance(error.filename, str | bytes):
            place = spelled_name(os.fsdecode(error.filename))
            told = f"{place}: can't be used ({error.strerror}); see to its rights, disk or mount, then run the same command again"
            return _say(f"E_ARTIFACT: {told}", EXIT_NOT_OK)
        if error.errno != errno.ENOSPC:
            raise
        _reader_left()
        return _say(
            "E_NOSPACE: no space is left for what is told here; free some and run the same command again", EXIT_NOT_OK
        )


def _reader_left() -> int:
    """Write no more to a reader that is gone, such as `head`."""
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115  (the interpreter flushes it when it ends)
    return EXIT_NOT_OK


def _say(text: str, code: int) -> int:
    with contextlib.suppress(OSError):  # nobody may be left to read it
        click.echo(f"wsi-run: {text}", err=True)
    return code
