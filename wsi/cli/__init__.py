"""The command line: `wsi-run SLIDES -o OUT`. Each command is one file, imported when it is called."""

from wsi.cli.main import main

__all__ = ["main"]
