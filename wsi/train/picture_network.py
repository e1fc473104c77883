"""An encoder with one linear classifier for each thing that is asked of a picture."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from wsi.encode.build import Pooled
from wsi.errors import ModelError
from wsi.mil import Head, HeadSpec, OrderedCuts, make_head
from wsi.mil.classes import make_classifier
from wsi.train.tasks import Task

START = 0.01
"""Standard deviation of a classifier's first weights: little enough that the first steps don't shake the encoder."""


class PictureNetwork(nn.Module):
    """Pictures `(B, 3, h, w)` to an embedding `(B, D)` and the logits `(B, C)` of each task."""

    def __init__(self, encoder: Pooled, dim: int, tasks: Sequence[Task], *, share: float = 0.0) -> None:
        super().__init__()
        self.encoder = encoder
        self.classifiers = nn.ModuleList(make_classifier(one.kind, dim, len(one.classes) or 2) for one in tasks)
        self.share = share
        for classifier in self.classifiers:
            nn.init.normal_(classifier.get_parameter("weight"), 0.0, START)

    def forward(self, images: Tensor) -> list[Tensor]:
        return self.read(self.encoder(images))

    def read(self, embeddings: Tensor) -> list[Tensor]:
        """Return each task's logits of embeddings `(B, D)`; in training a share of them isn't seen."""
        seen = dropout(embeddings.float(), self.share, self.training)
        with torch.autocast(seen.device.type, enabled=False):  # the last sums in float32
            return [classifier(seen) for classifier in self.classifiers]

    def train(self, mode: bool = True) -> "PictureNetwork":
        """Batch normalization keeps the statistics that the encoder came with: a batch of a few pictures has others."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self


def start_network(
    network: nn.Module, dim: int, tasks: Sequence[Task], *, share: float, seed: int, turns: bool = False
) -> PictureNetwork:
    """Return the encoder with classifiers whose first weights depend on the seed alone.

    Args:
        turns: whether the encoder reads each picture turned and mirrored as well, but for training.

    Raises:
        ModelError: the encoder isn't one of timm's networks.
    """
    if not isinstance(network, Pooled):
        raise ModelError("only networks of timm are fine-tuned here")
    network.turns = turns
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return PictureNetwork(network, dim, tasks, share=share)


def keep_cuts_in_order(network: PictureNetwork) -> None:
    """Let the cuts between ordered grades fall: a step may have carried one past its neighbor."""
    with torch.no_grad():
        for module in network.classifiers:
            if isinstance(module, OrderedCuts):
                module.bias.copy_(torch.cummin(module.bias, dim=0).values)


def mean_weights(weights: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the mean of several networks' weights; counts are the first one's.

    Networks that were fine-tuned from the same start lie in one valley: the network between them is at least as good as
    each, and costs what one does.

    Source: Wortsman et al. 2022, uniform soup.
    """
    first = weights[0]
    return {
        name: torch.stack([one[name].double() for one in weights]).mean(dim=0).to(tensor.dtype)
        if tensor.is_floating_point()
        else tensor.clone()
        for name, tensor in first.items()
    }


def as_head(classifier: nn.Module, task: Task, dim: int) -> Head:
    """Return the head of a bag that gives a bag of one window exactly the classifier's logits, of several their mean.

    The classifier's weights become the embedding of a tile, `(H, D)`; what comes after it is the identity.
    """
    weight, bias = (classifier.get_parameter(name).detach() for name in ("weight", "bias"))
    hidden = len(weight)
    spec = HeadSpec("mean", task.kind, len(task.classes) or 2, hidden=hidden, activation="identity")
    head = make_head(spec, dim)
    told = {
        "norm.mean": torch.zeros(dim),
        "norm.std": torch.ones(dim),
        "embed.weight": weight.clone(),
        "embed.bias": torch.zeros(hidden),
        "classifier.weight": torch.eye(hidden),
        "classifier.bias": bias.clone(),
    }
    head.load_state_dict(told, strict=True)
    return head.eval()
