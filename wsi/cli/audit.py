"""`wsi-run audit`: is the log of decisions as it was written? And decisions from elsewhere, into it."""

from pathlib import Path

import click

from wsi.cli.options import FILE


@click.group("audit")
def command() -> None:
    """Check the decisions that people wrote down through the review page, and take in those that came as a file.

    \b
      wsi-run audit verify OUT
      wsi-run audit take OUT decisions.json
    """


@command.command("verify")
@click.argument("out", type=FILE)
@click.option("--head", metavar="SHA256", help="The head's hash as you noted it: every line up to then must be there.")
def verify(out: Path, head: str | None) -> int:
    """Check OUT/review/decisions.jsonl line by line and name the first that isn't as it was written.

    \b
      wsi-run audit verify OUT

    Each line holds the hash of the one before, and decisions.head the last line's. Note that hash elsewhere: whoever
    may write the files could make both anew, but not to the same hash. Exit status: 0 as written, 3 something differs.
    """
    from wsi.cli.main import EXIT_NOT_OK
    from wsi.cli.over_slides import counted
    from wsi.engine import journal
    from wsi.errors import UsageError
    from wsi.review.audit import verify_log

    if not out.is_dir():
        raise UsageError(f"{out}: no such folder; expected the OUT of a run")
    found = verify_log(out, journal.read(out).keys(), noted=head)
    if found.fault:
        click.echo(f"line {found.fault.line}: {found.fault.what}")
        return EXIT_NOT_OK
    click.echo(f"{counted(found.count, 'decision')}, all as written" + (f"; head {found.head}" if found.count else ""))
    return 0


@command.command("take")
@click.argument("out", type=FILE)
@click.argument("files", type=FILE, nargs=-1, required=True)
def take(out: Path, files: tuple[Path, ...]) -> int:
    """Add the decisions in FILES, which the page of `wsi-run review OUT --static DIR` saved, to the log of OUT.

    \b
      wsi-run audit take OUT ~/Downloads/decisions.json
      wsi-run export OUT                                   # predictions.csv and the objects for QuPath then hold them

    Each is checked as if it came from the page. A file may be taken twice: what is there isn't added again. Exit status:
    0 all are there, 3 some can't be kept, and why.
    """
    from functools import partial

    from wsi.cli.main import EXIT_NOT_OK
    from wsi.cli.over_slides import counted
    from wsi.engine import journal
    from wsi.errors import UsageError
    from wsi.review.folder import ReviewFolder
    from wsi.review.handed import take_file

    if not out.is_dir():
        raise UsageError(f"{out}: no such folder; expected the OUT of a run")
    folder = ReviewFolder(out, partial(journal.read, out))
    taken = [take_file(folder, file) for file in files]
    for line in (line for one in taken for line in one.refused):
        click.echo(line)
    known = sum(one.known for one in taken)
    click.echo(
        f"{counted(sum(one.added for one in taken), 'decision')} added" + (f", {known} there already" if known else "")
    )
    return EXIT_NOT_OK if any(one.refused for one in taken) else 0
