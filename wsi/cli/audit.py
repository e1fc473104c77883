"""`wsi-run audit`: is the log of decisions as it was written?"""

from pathlib import Path

import click

from wsi.cli.options import FILE


@click.group("audit")
def command() -> None:
    """Check the decisions that people wrote down through the review page.

    \b
      wsi-run audit verify OUT
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
