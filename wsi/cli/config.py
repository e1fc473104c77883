"""`wsi-run config`: make, show and check a settings file."""

from pathlib import Path

import click

from wsi.cli.options import FILE


@click.group("config")
def command() -> None:
    """Make, show and check a settings file.

    \b
      wsi-run config init > my.yaml
      wsi-run config validate my.yaml
      wsi-run SLIDES -o OUT -c my.yaml
    """


@command.command("init")
@click.argument("of", type=click.Choice(["run", "train"]), default="run")
def init(of: str) -> None:
    """Print a settings file with every default and what it means: of a run, or of a training run.

    \b
      wsi-run config init > my.yaml
      wsi-run config init train > my-train.yaml
    """
    from wsi.config import Config, as_yaml

    if of == "train":
        from wsi.train.settings import TrainConfig

        click.echo(as_yaml(TrainConfig()), nl=False)
    else:
        click.echo(as_yaml(Config(model="tumor")), nl=False)


@command.command("show")
@click.argument("name", type=FILE)
def show(name: Path) -> None:
    """Print a settings file, or a shipped one by name, with all defaults filled in.

    \b
      wsi-run config show tumor
    """
    from wsi.cli.settings import find_config, schema_of
    from wsi.config import as_yaml, read_yaml

    path = find_config(name)
    click.echo(as_yaml(read_yaml(path, schema_of(path))), nl=False)


@command.command("validate")
@click.argument("name", type=FILE)
def validate(name: Path) -> None:
    """Check a settings file; a wrong key or value is named with its line.

    \b
      wsi-run config validate my.yaml

    Exit status: 0 good, 2 not.
    """
    from wsi.cli.settings import find_config, schema_of
    from wsi.config import read_yaml

    path = find_config(name)
    read_yaml(path, schema_of(path))
    click.echo(f"{path}: good")
