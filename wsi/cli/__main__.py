"""`python -m wsi.cli`: the command line without the console script."""

from wsi.cli.main import main

if __name__ == "__main__":
    main()
