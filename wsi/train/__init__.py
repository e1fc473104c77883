"""Labels and features to a model folder."""

from wsi.train.briefing import Briefing, brief
from wsi.train.cohort import Case, Cohort, Finding
from wsi.train.gather import read_cohort
from wsi.train.labels import Target, TargetKind, Wanted, parse_wanted
from wsi.train.seal import Fold, Scheme, Splits, read_splits, write_splits
from wsi.train.split_files import splits_from_file
from wsi.train.splits import make_splits

__all__ = [
    "Briefing",
    "Case",
    "Cohort",
    "Finding",
    "Fold",
    "Scheme",
    "Splits",
    "Target",
    "TargetKind",
    "Wanted",
    "brief",
    "make_splits",
    "parse_wanted",
    "read_cohort",
    "read_splits",
    "splits_from_file",
    "write_splits",
]
