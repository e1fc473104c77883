"""A bag of features to scores and attention."""

from wsi.mil.attention import RunningAttention, attend, attention_weights
from wsi.mil.classes import Kind, OrderedCuts, class_probabilities, logit_count, make_classifier
from wsi.mil.gated_attention import GatedAttention
from wsi.mil.head import Head, HeadSpec, Reading
from wsi.mil.make import HEADS, head_type, make_head
from wsi.mil.mean_pool import MeanPool

__all__ = [
    "HEADS",
    "GatedAttention",
    "Head",
    "HeadSpec",
    "Kind",
    "MeanPool",
    "OrderedCuts",
    "Reading",
    "RunningAttention",
    "attend",
    "attention_weights",
    "class_probabilities",
    "head_type",
    "logit_count",
    "make_classifier",
    "make_head",
]
