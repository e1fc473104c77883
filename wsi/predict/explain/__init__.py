"""Where a model of pictures looked: four methods behind one call, each on the picture's own px."""

from wsi.predict.explain.explain import DEFAULT, METHODS, Method, explain
from wsi.predict.explain.explained import ExplainedModel, load_explained

__all__ = ["DEFAULT", "METHODS", "ExplainedModel", "Method", "explain", "load_explained"]
