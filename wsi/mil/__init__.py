"""A bag of features to scores and attention."""

from wsi.mil.attention import RunningAttention, attend, attention_weights
from wsi.mil.classes import class_probabilities, outputs_of
from wsi.mil.gated_attention import GatedAttention, Reading

__all__ = [
    "GatedAttention",
    "Reading",
    "RunningAttention",
    "attend",
    "attention_weights",
    "class_probabilities",
    "outputs_of",
]
