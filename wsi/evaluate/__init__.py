"""Honest figures: each with its interval and denominator, or the reason why there is none. No torch."""

from wsi.evaluate.abstain import RiskCoverage, risk_coverage
from wsi.evaluate.agreement import accuracy, balanced_accuracy, confusion, f1, kappa, quadratic_kappa
from wsi.evaluate.bootstrap import bootstrap_interval
from wsi.evaluate.calibration import brier, calibration_slope, expected_calibration_error, reliability
from wsi.evaluate.compare import Comparison, compare_concordance, compare_models
from wsi.evaluate.decision import decision_curve
from wsi.evaluate.delong import auc_interval
from wsi.evaluate.figure import Figure
from wsi.evaluate.jackknife import jackknife_interval
from wsi.evaluate.multiclass import macro_auc, macro_auc_interval, one_vs_rest
from wsi.evaluate.predictions import ClassKind, Predictions, Test, Validation
from wsi.evaluate.proportion import sensitivity_specificity, share
from wsi.evaluate.referral import ReferralRule, fit_referral
from wsi.evaluate.regression import mae, pearson, r2, rmse, spearman
from wsi.evaluate.roc import auc, average_precision, precision_recall_curve, roc_curve
from wsi.evaluate.subgroups import Subgroup, subgroup_table
from wsi.evaluate.survival import concordance, concordance_ipcw, kaplan_meier
from wsi.evaluate.survival_brier import integrated_brier, survival_brier
from wsi.evaluate.temperature import Temperature, fit_temperature
from wsi.evaluate.threshold import Threshold, check_rule, choose_threshold

__all__ = [
    "ClassKind",
    "Comparison",
    "Figure",
    "Predictions",
    "ReferralRule",
    "RiskCoverage",
    "Subgroup",
    "Temperature",
    "Test",
    "Threshold",
    "Validation",
    "accuracy",
    "auc",
    "auc_interval",
    "average_precision",
    "balanced_accuracy",
    "bootstrap_interval",
    "brier",
    "calibration_slope",
    "check_rule",
    "choose_threshold",
    "compare_concordance",
    "compare_models",
    "concordance",
    "concordance_ipcw",
    "confusion",
    "decision_curve",
    "expected_calibration_error",
    "f1",
    "fit_referral",
    "fit_temperature",
    "integrated_brier",
    "jackknife_interval",
    "kaplan_meier",
    "kappa",
    "macro_auc",
    "macro_auc_interval",
    "mae",
    "one_vs_rest",
    "pearson",
    "precision_recall_curve",
    "quadratic_kappa",
    "r2",
    "reliability",
    "risk_coverage",
    "rmse",
    "roc_curve",
    "sensitivity_specificity",
    "share",
    "spearman",
    "subgroup_table",
    "survival_brier",
]
