"""Honest figures: each with its interval and denominator, or the reason why there is none. No torch."""

from wsi.evaluate.delong import auc_interval
from wsi.evaluate.figure import Figure
from wsi.evaluate.proportion import sensitivity_specificity, share
from wsi.evaluate.roc import auc, average_precision, precision_recall_curve, roc_curve

__all__ = [
    "Figure",
    "auc",
    "auc_interval",
    "average_precision",
    "precision_recall_curve",
    "roc_curve",
    "sensitivity_specificity",
    "share",
]
