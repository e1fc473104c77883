"""`wsi-run doctor`: what is wrong with this machine or installation, and what to do about it."""

import click


@click.command("doctor")
def command() -> int:
    """Check versions, native libraries, models, memory and disk of this machine.

    \b
      wsi-run doctor

    Exit status: 0 all good, 3 something needs attention.
    """
    from wsi.cli.main import EXIT_NOT_OK
    from wsi.engine.doctor import examine

    findings = examine()
    for finding in findings:
        click.echo(f"{'ok  ' if finding.good else 'LOOK'}  {finding.name:22}{finding.found}")
        if not finding.good:
            click.echo(f"      {finding.next_step}")
    return 0 if all(finding.good for finding in findings) else EXIT_NOT_OK
