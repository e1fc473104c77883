"""From features to a verdict. What is named here needs no torch; `wsi.predict.model.load_model` does."""

from wsi.predict.verdict import BagReading, Model, Verdict, judge

__all__ = ["BagReading", "Model", "Verdict", "judge"]
