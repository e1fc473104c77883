"""`wsi-run review`: the page on which people look at slides and decide."""

import socket
import webbrowser
from pathlib import Path

import click
import uvicorn
from starlette.applications import Starlette

from wsi.cli.options import FILE

MAX_CONNECTIONS = 512
LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})


@click.command("review")
@click.argument("out", type=FILE)
@click.option("--slides", type=FILE, metavar="DIR", help="Where the slides lie now, if not where they were run.")
@click.option("-m", "--model", metavar="NAME", help="The model's folder, for its card, if it isn't a shipped one.")
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0 takes any free one.")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; others than this one let other machines in.",
)
@click.option(
    "--blind", is_flag=True, help="Show no verdict before the reviewer's own read of a slide is written down."
)
@click.option("--reviewer", default="", metavar="NAME", help="Who decides; needed by --blind.")
@click.option("--no-browser", is_flag=True, help="Only print the link.")
def command(
    out: Path,
    slides: Path | None,
    model: str | None,
    port: int,
    host: str,
    blind: bool,
    reviewer: str,
    no_browser: bool,
) -> int:
    """Look at the slides of OUT with their heat, and write decisions down.

    \b
      wsi-run review OUT
      wsi-run review OUT --blind --reviewer "A. Miller"

    Research use only. Not for diagnosis. Ctrl-C ends it; what was written down stays.
    """
    from wsi.engine import journal
    from wsi.engine.viewing import Viewing
    from wsi.errors import UsageError
    from wsi.review import ReviewFolder, make_app, new_token, slide_places, slides_below

    if not out.is_dir():
        raise UsageError(f"{out}: no such folder; expected the OUT of a run")
    if slides and not slides.is_dir():
        raise UsageError(f"--slides {slides}: no such folder; expected the one that was run, where it lies now")
    if blind and not reviewer.strip():
        raise UsageError("--blind: whose own read is waited for? Give it with --reviewer NAME")
    folder = ReviewFolder(out, lambda: journal.read(out), model=model)
    listening = listen(host, port)
    port = listening.getsockname()[1]
    token = new_token()
    viewing = Viewing(slide_places(out) | (slides_below(slides, folder.records()) if slides else {}))
    viewing.warm()
    app = make_app(folder, viewing, token=token, host=host, port=port, blind=blind, reviewer=reviewer.strip())
    name = f"[{host}]" if ":" in host else "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104  (compared, not bound)
    link = f"http://{name}:{port}/?token={token}"
    click.echo(link)
    if host not in LOCAL:
        click.echo(
            f"wsi-run: --host {host}: other machines can reach this page now, unencrypted; whoever has the link sees "
            "the slides and can decide",
            err=True,
        )
    if not no_browser:
        webbrowser.open(link)
    try:
        uvicorn.Server(server_settings(app)).run(sockets=[listening])
    finally:
        viewing.close()
    return 0


def server_settings(app: Starlette) -> uvicorn.Config:
    """Return how the server runs: quiet, with an end to how many connections it holds."""
    return uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=20,
        timeout_graceful_shutdown=3,
        ws="none",
        lifespan="off",
    )


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; UsageError when the address can't be had."""
    from wsi.errors import UsageError

    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.socket(found[0], found[1])
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(found[4])
        listening.listen(128)
    except OSError as error:
        raise UsageError(
            f"--host {host} --port {port}: can't be listened on ({error.strerror or error}); --port 0 takes any free one"
        ) from error
    return listening
