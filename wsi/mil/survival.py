"""From a head's logits to a survival curve and to one number that rises with the risk."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def discrete_curve(logits: Tensor) -> Tensor:
    """Return the share that lives through each time bin, `(..., T)`, falling from at most 1.

    Args:
        logits: `(..., T)`; sigmoid of each is the hazard of its bin: the share of those who reached it that it takes.

    Source: Singer and Willett 1993; Gensheimer and Narasimhan 2019, eq. 1-2.
    """
    return torch.exp(logsigmoid(-logits).cumsum(dim=-1))


def cox_curve(log_hazard: Tensor, baseline: Tensor) -> Tensor:
    """Return the share that lives beyond each time of the baseline, `(..., S)`.

    Args:
        log_hazard: `(...)`, relative to the baseline's case.
        baseline: `(S,)` share that lives beyond each time at a log hazard of 0.

    Source: Cox 1972: S(t) = S_0(t) ^ exp(log hazard).
    """
    return baseline ** torch.exp(log_hazard)[..., None]


def risk_within(curve: Tensor) -> Tensor:
    """Return the share `(...)` to whom it happens by the last time of a curve `(..., S)`."""
    return 1 - curve[..., -1]
