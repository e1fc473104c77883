"""How all tests run."""

from wsi.resources import tune_process

tune_process()
