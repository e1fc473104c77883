"""The start of a child process: `python -m wsi.engine.start MODULE …` is `python -m MODULE …`, loaded sooner."""

import runpy
import sys

from wsi.resources import tune_process

if __name__ == "__main__":
    tune_process()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
