"""How badly risks explain times of which some are cut short: Cox's partial likelihood, and hazards of time bins."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

Ties = Literal["efron", "breslow"]


def cox_loss(log_hazards: Tensor, times: Tensor, events: Tensor, *, ties: Ties = "efron") -> Tensor:
    """Return minus the log partial likelihood, summed over the events; 0 where nothing happened.

    For event i, the log of its hazard over the hazards of all who were still at risk at its time. Of d events at one
    time, Efron takes l / d of their own hazards out of the l-th one's sum (l = 0 … d - 1); Breslow takes none.

    Args:
        log_hazards: `(B,)` float, any finite numbers; only their differences count.
        times: `(B,)`, of the event or of the last contact.
        events: `(B,)` bool, True = it happened.

    Source: Cox 1972, eq. 12; Breslow 1974; Efron 1977, eq. 7.1.
    """
    if not bool(events.any()):
        return log_hazards.sum() * 0.0
    order = torch.argsort(times, descending=True, stable=True)
    log_hazards, times, events = log_hazards[order], times[order], events[order]
    until = torch.searchsorted(-times, -times[events], right=True) - 1  # (E,), the last who was still at risk
    at, at_risk = log_hazards[events], torch.logcumsumexp(log_hazards, dim=0)[until]  # (E,)
    if ties == "efron":
        _, group, sizes = torch.unique_consecutive(times[events], return_inverse=True, return_counts=True)
        place = torch.arange(len(at), device=at.device) - (torch.cumsum(sizes, dim=0) - sizes)[group]  # l
        share = (place / sizes[group]).to(at)  # (E,), l / d
        own = torch.zeros(len(sizes), dtype=at.dtype, device=at.device).index_add(0, group, torch.exp(at - at_risk))
        at_risk = at_risk + torch.log1p(-share * own[group])
    return (at_risk - at).sum()


def discrete_loss(logits: Tensor, times: Tensor, events: Tensor, *, edges: Tensor) -> Tensor:
    """Return minus the log likelihood, summed over the bags.

    Bin t is (edges[t - 1], edges[t]], the last one has no end; sigmoid(logits[:, t]) is the hazard of bin t. An event
    in bin k counts log h_k + sum over t < k of log(1 - h_t); who was lost counts the bins that were lived through.

    Args:
        logits: `(B, T)`.
        times: `(B,)`; events: `(B,)` bool.
        edges: `(T - 1,)`, rising, in the unit of `times`.

    Source: Gensheimer and Narasimhan 2019, eq. 3; Singer and Willett 1993.
    """
    survived, happened = in_bins(times, events, edges=edges)  # (B, T)
    # log sigmoid(-x) = log(1 - h)
    return -(logsigmoid(logits) * happened + logsigmoid(-logits) * survived).sum()


def base_logits(times: Tensor, events: Tensor, *, edges: Tensor) -> Tensor:
    """Return the log odds of each bin's hazard `(T,)` among all these bags, the life table's; half a bag more of each kind.

    Source: Singer and Willett 1993, the hazard of a sample: events of a bin over those who reached it.
    """
    survived, happened = in_bins(times, events, edges=edges)  # (B, T)
    return torch.log((happened.sum(dim=0) + 0.5) / (survived.sum(dim=0) + 0.5))


def in_bins(times: Tensor, events: Tensor, *, edges: Tensor) -> tuple[Tensor, Tensor]:
    """Return which bins each bag is known to have lived through, and in which it happened, both `(B, T)` bool."""
    edges = edges.to(times)
    through = (edges[None, :] <= times[:, None]).sum(dim=1)  # (B,), bins lived through
    at = torch.searchsorted(edges, times.contiguous())  # (B,), bin of the event: (a, b]
    bins = torch.arange(len(edges) + 1, device=times.device)  # (T,)
    survived = bins[None, :] < torch.where(events, at, through)[:, None]  # (B, T)
    happened = (bins[None, :] == at[:, None]) & events[:, None]  # (B, T)
    return survived, happened
