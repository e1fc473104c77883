"""Where a model of pictures looked: four methods behind one call, each on the picture's own px."""

from wsi.predict.explain.explain import DEFAULT, METHODS, Asked, Method, check_asked, explain, explain_prepared
from wsi.predict.explain.explained import ExplainedModel, load_explained

__all__ = [
    "DEFAULT", "METHODS", "Asked", "ExplainedModel", "Method", "check_asked", "explain", "explain_prepared",
    "load_explained",
]  # fmt: skip
