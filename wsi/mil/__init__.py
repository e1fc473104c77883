"""A bag of features to scores and attention."""

from wsi.mil.attention import RunningAttention, attend, attention_weights
from wsi.mil.classes import Kind, OrderedCuts, class_probabilities, cumulative_logits, logit_count, make_classifier
from wsi.mil.gated_attention import GatedAttention
from wsi.mil.head import Head, HeadSpec, Reading
from wsi.mil.make import HEADS, head_type, make_head
from wsi.mil.mean_pool import MeanPool
from wsi.mil.survival import cox_curve, discrete_curve, risk_within

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
    "cox_curve",
    "cumulative_logits",
    "discrete_curve",
    "head_type",
    "logit_count",
    "make_classifier",
    "make_head",
    "risk_within",
]
