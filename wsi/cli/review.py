"""`wsi-run review`: the page on which people look at slides and decide."""

import contextlib
import os
import socket
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import uvicorn
from starlette.applications import Starlette

from wsi.cli.options import FILE
from wsi.review import Beside, Desk, ReviewFolder, Tiles, make_app, new_token, slide_places, slides_below, write_static
from wsi.review.protocol import PromptProtocol
from wsi.review.text import clean

MAX_CONNECTIONS = 512
USUAL_PORT = 8765
LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})
_ANY = frozenset({"0.0.0.0", "::"})  # noqa: S104  (compared, not bound)


@click.command("review")
@click.argument("out", type=FILE)
@click.option("--slides", type=FILE, metavar="DIR", help="Where the slides lie now, if not where they were run.")
@click.option(
    "--beside",
    type=FILE,
    metavar="OUT2",
    help="Another run over the same slides: what its model says of each is seen beside it.",
)
@click.option(
    "-m",
    "--model",
    "models",
    multiple=True,
    metavar="NAME",
    help="A model's folder, for its card, if it isn't a shipped one; may be given for each run.",
)
@click.option(
    "--blind", is_flag=True, help="Show no verdict before the reviewer's own read of a slide is written down."
)
@click.option("--reviewer", default="", metavar="NAME", help="Who decides; needed by --blind.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help=f"Port to listen on; 0 takes any free one.  [default: {USUAL_PORT}, or a free one]",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; any but this one lets other machines in.",
)
@click.option("--no-browser", is_flag=True, help="Only print the link.")
@click.option(
    "--static", type=FILE, metavar="DIR", help="Write the page into DIR, to be opened without a server, and end."
)
@click.option(
    "--static-mpx",
    type=click.FloatRange(0.1, 400),
    default=16.0,
    show_default=True,
    help="Million px above which a level of a slide is left out there.",
)
def command(out: Path, **given: Any) -> int:
    """Look at the slides of OUT with their heat, and write decisions down.

    \b
      wsi-run review OUT
      wsi-run review OUT --blind --reviewer "A. Miller"
      wsi-run review OUT --beside OUT2
      wsi-run review OUT --static FOLDER

    It prints a link, which alone opens the page. Decisions go into OUT/review; `wsi-run export OUT` merges them into
    the table and QuPath's objects. Research use only. Not for diagnosis. Ctrl-C ends it.
    """
    from wsi.engine import journal
    from wsi.engine.viewing import Viewing

    _check(out, given)
    folder = ReviewFolder(out, lambda: journal.read(out), models=given["models"])
    given["beside"] = _beside(folder, given["beside"], given["models"])
    found = _slides(folder, given["slides"])
    viewing = Viewing(slide_places(out, folder.records()) | found, is_picture=folder.is_picture)
    viewing.warm()
    try:
        return write(folder, viewing, given) if given["static"] else serve(folder, viewing, given)
    finally:
        viewing.close()


def _slides(folder: ReviewFolder, root: Path | None) -> dict[str, Path]:
    """Return the files of the slides below `root`, by id; UsageError when it has none of them."""
    from wsi.errors import UsageError

    records = folder.records() if root else {}
    found = slides_below(root, records) if root else {}
    if records and not found:
        raise UsageError(
            f"--slides {root}: none of the slides of {folder.out} lies there, by the same path below it and with the "
            "same content; expected the folder that was run, where it lies now"
        )
    return found


def _beside(folder: ReviewFolder, out: Path | None, models: Sequence[str]) -> ReviewFolder | None:
    """Return the other run, and say how many of the slides it has a result of; UsageError when of none."""
    from wsi.cli.over_slides import counted
    from wsi.engine import journal
    from wsi.errors import UsageError

    if out is None:
        return None
    beside = ReviewFolder(out, lambda: journal.read(out), models=models)
    entries = folder.entries()
    count = sum(Beside(beside).entry(entry) is not None for entry in entries)
    if entries and not count:
        raise UsageError(f"--beside {out}: it has no result of any slide of {folder.out}; expected a run over the same")
    click.echo(f"wsi-run: --beside {out}: has results of {count} of {counted(len(entries), 'slide')}", err=True)
    return beside


def _check(out: Path, given: dict[str, Any]) -> None:
    from wsi.errors import UsageError
    from wsi.model_folder import find_folder

    if not out.is_dir():
        raise UsageError(f"{out}: no such folder; expected the OUT of a run")
    for name in given["models"]:
        find_folder(name, "model")
    if given["beside"] and not given["beside"].is_dir():
        raise UsageError(f"--beside {given['beside']}: no such folder; expected the OUT of another run")
    if given["slides"] and not given["slides"].is_dir():
        raise UsageError(
            f"--slides {given['slides']}: no such folder; expected the one that was run, where it lies now"
        )
    if given["blind"] and not given["reviewer"].strip():
        raise UsageError("--blind: whose own read is waited for? Give it with --reviewer NAME")
    if given["blind"] and not os.access(out, os.W_OK):
        raise UsageError(
            f"--blind: {out} can't be written to, so no own read would be kept and no verdict ever shown; review a copy of it"
        )
    if given["blind"] and given["static"]:
        raise UsageError("--static: a folder hides nothing, so it can't be --blind")


def serve(folder: ReviewFolder, tiles: Tiles, given: dict[str, Any]) -> int:
    """Serve the page until a signal ends it."""
    host, token, once = given["host"], new_token(), new_token()
    listening = listen(host, given["port"])
    port = int(listening.getsockname()[1])
    reviewer = clean(given["reviewer"])
    app = make_app(
        folder,
        tiles,
        token=token,
        once=once,
        host=host,
        port=port,
        beside=given["beside"],
        blind=given["blind"],
        reviewer=reviewer,
    )
    places = [f"http://{name}:{port}/?token=" for name in names_of(host)]
    for place in places:
        click.echo(place + token)
    if host not in LOCAL:
        click.echo(
            f"wsi-run: --host {host}: other machines can reach this page now, unencrypted; whoever has the link sees "
            "the slides and can decide",
            err=True,
        )
    if not given["no_browser"]:
        webbrowser.open(places[0] + once)  # every user of this machine can read what a program was started with
    uvicorn.Server(server_settings(app)).run(sockets=[listening])
    return 0


def write(folder: ReviewFolder, tiles: Tiles, given: dict[str, Any]) -> int:
    """Write the page as a folder."""
    from wsi.cli.main import EXIT_NOT_OK
    from wsi.cli.over_slides import counted

    desk = Desk(folder, tiles, beside=given["beside"], reviewer=clean(given["reviewer"]))
    made = write_static(desk, given["static"], mpx=given["static_mpx"])
    click.echo(f"{given['static'] / 'index.html'}: {counted(made.cases, 'slide')}, {counted(made.tiles, 'tile')}")
    if made.coarse:
        click.echo(
            f"{counted(made.coarse, 'slide')} without the levels above {given['static_mpx']:g} million px "
            "(--static-mpx); the server shows them"
        )
    if made.unreadable:
        click.echo(f"{counted(made.unreadable, 'tile')} can't be decoded and left out")
    return EXIT_NOT_OK if made.unreadable else 0


def names_of(host: str) -> list[str]:
    """Return how the server is reached in links: from this machine first, then from others where it has any address."""
    known = ["127.0.0.1", *addresses(host)] if host in _ANY else [host]
    return [f"[{name}]" if ":" in name else name for name in known]


def addresses(host: str) -> list[str]:
    """Return this machine's own addresses on the way out, of the kinds that "0.0.0.0" or "::" listens on.

    Only the route is looked up, to an address kept for documents; nothing is sent.
    """
    ways = [(socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")]
    found = []
    for family, far in ways if host == "::" else ways[:1]:
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as way:
            way.connect((far, 9))
            found.append(str(way.getsockname()[0]))
    return found


def server_settings(app: Starlette) -> uvicorn.Config:
    """Return how the server runs: quiet, with an end to how many connections it holds, and for how long in vain."""
    return uvicorn.Config(
        app,
        http=PromptProtocol,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=20,
        timeout_graceful_shutdown=3,
        ws="none",
        lifespan="on",
    )


def listen(host: str, port: int | None) -> socket.socket:
    """Return a listening socket; None takes the usual port, or a free one where that is taken.

    Raises:
        UsageError: the address can't be had.
    """
    from wsi.errors import UsageError

    tried = OSError()
    for number in (USUAL_PORT, 0) if port is None else (port,):
        try:
            return _bound(host, number)
        except OSError as error:
            tried = error
    at, advice = f"--host {host}", "give an address of this machine, such as 127.0.0.1"
    if port is not None:
        at, advice = f"{at} --port {port}", "--port 0 takes any free one"
    raise UsageError(f"{at}: can't be listened on ({tried.strerror or tried}); {advice}") from tried


def _bound(host: str, port: int) -> socket.socket:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = found[0]
    # asyncio lets answers go without delay only on sockets that say they are TCP: else each takes 40 ms.
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(128)
    except OSError:
        listening.close()
        raise
    return listening
