"""The start of a child process: `python -m wsi.engine.start MODULE …` is `python -m MODULE …`, loaded sooner."""

import runpy
import sys

from wsi.resources import collect_seldom

if __name__ == "__main__":
    collect_seldom()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
