"""`wsi-run verify`: is every byte still as it was published?"""

from pathlib import Path

import click

from wsi.cli.options import FILE


@click.command("verify")
@click.argument("out", type=FILE)
def command(out: Path) -> int:
    """Check every file in OUT against SHA256SUMS and name those that changed, are missing or came in.

    \b
      wsi-run verify OUT

    Exit status: 0 all as published, 3 something differs.
    """
    from wsi.cli.main import EXIT_NOT_OK
    from wsi.engine.verify import verify_out
    from wsi.errors import UsageError
    from wsi.printable import spelled_name

    if not out.is_dir():
        raise UsageError(f"{out}: no such folder; expected the OUT of a run")
    count, findings = verify_out(out)
    for finding in findings:
        click.echo(f"{finding.what}: {spelled_name(finding.name)}")
    click.echo(f"{count} files listed, {len(findings)} differences")
    return EXIT_NOT_OK if findings else 0
