"""A bag of features to scores and attention."""

from wsi.mil.attention import RunningAttention, attend, attention_weights
from wsi.mil.classes import OrderedCuts, class_probabilities, make_classifier
from wsi.mil.gated_attention import GatedAttention, Reading

__all__ = [
    "GatedAttention",
    "OrderedCuts",
    "Reading",
    "RunningAttention",
    "attend",
    "attention_weights",
    "class_probabilities",
    "make_classifier",
]
