"""Whether the heads of a model fit into its folder: asked before any of them is trained."""

from collections.abc import Sequence

import torch

from wsi.card_head import MAX_BYTES, MAX_MEMBERS
from wsi.errors import UsageError
from wsi.mil import HeadSpec, make_head
from wsi.train.familiar import MOST_AXES
from wsi.train.final import voters
from wsi.train.study import Study

FLOAT32 = 4
HEADER = 1 << 17
"""Bytes that the names of a file's tensors may take."""


def check_members(study: Study) -> None:
    """Refuse more or larger heads than a model folder can have, and those that may be of several shapes.

    Raises:
        UsageError: it says what to change.
    """
    members = voters(study)
    if members > MAX_MEMBERS:
        raise UsageError(
            f"{members} folds: a model has at most {MAX_MEMBERS} heads that vote; set model.final: refit (--final refit), "
            "or make fewer folds"
        )
    if members > 1 and study.config.search.trials > 1:
        raise UsageError(
            "a search lets each fold choose its own shape of head, and only heads of one shape can vote; set model.final: "
            "refit (--final refit)"
        )
    instead = "lower head.hidden" + ("" if members == 1 else ", set model.final: refit, or make fewer folds")
    check_bytes([study.spec] * members, study.bags.dim, instead=instead)


def check_bytes(specs: Sequence[HeadSpec], dim: int, *, instead: str) -> None:
    """Refuse heads over `dim` wide features whose weights are a larger file than is read.

    Args:
        instead: what to change, for the message.

    Raises:
        UsageError: the file would be too large.
    """
    with torch.device("meta"):
        heads = [make_head(spec, dim) for spec in specs]
    rule = (MOST_AXES + 1) * (dim + 1) * FLOAT32
    needed = sum(tensor.nbytes for head in heads for tensor in head.state_dict().values()) + rule + HEADER
    if needed > MAX_BYTES:
        raise UsageError(
            f"the heads of this model over {dim} wide features take {needed >> 20} MiB, at most {MAX_BYTES >> 20} are read; "
            f"{instead}"
        )
