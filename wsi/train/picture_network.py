"""An encoder with one linear classifier for each thing that is asked of a picture."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from wsi.encode.build import Pooled
from wsi.errors import ModelError
from wsi.mil import Head, HeadSpec, OrderedCuts, make_head
from wsi.mil.classes import make_classifier
from wsi.train.tasks import Task

CLASSIFIERS = "classifiers."
START = 0.01
"""Standard deviation of a classifier's first weights: little enough that the first steps don't shake the encoder."""


class Perceptron(nn.Module):
    """One hidden layer and a classifier: `(B, D)` to logits `(B, C)`."""

    def __init__(self, task: Task, dim: int, hidden: int) -> None:
        super().__init__()
        self.embed = nn.Linear(dim, hidden)
        self.classifier = _linear(task, hidden)

    def forward(self, embeddings: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.embed(embeddings).relu())
        return logits


def _linear(task: Task, dim: int) -> nn.Module:
    return make_classifier(task.kind, dim, len(task.classes) or 2)


class PictureNetwork(nn.Module):
    """Pictures `(B, 3, h, w)` to an embedding `(B, D)` and the logits `(B, C)` of each task."""

    def __init__(
        self, encoder: Pooled, dim: int, tasks: Sequence[Task], *, share: float = 0.0, hidden: int = 0
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.classifiers = nn.ModuleList(Perceptron(one, dim, hidden) if hidden else _linear(one, dim) for one in tasks)
        self.share = share
        for classifier in self.classifiers:
            if not hidden:
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
    network: nn.Module,
    dim: int,
    tasks: Sequence[Task],
    *,
    share: float,
    seed: int,
    turns: bool = False,
    hidden: int = 0,
) -> PictureNetwork:
    """Return the encoder with classifiers whose first weights depend on the seed alone.

    Args:
        turns: whether the encoder reads each picture turned and mirrored as well, but for training.
        hidden: width of a layer before each classifier; 0: none.

    Raises:
        ModelError: the encoder isn't one of timm's networks.
    """
    if not isinstance(network, Pooled):
        raise ModelError("only networks of timm are fine-tuned here")
    network.turns = turns
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return PictureNetwork(network, dim, tasks, share=share, hidden=hidden)


def keep_cuts_in_order(network: PictureNetwork) -> None:
    """Let the cuts between ordered grades fall: a step may have carried one past its neighbor."""
    with torch.no_grad():
        for module in network.classifiers.modules():
            if isinstance(module, OrderedCuts):
                module.bias.copy_(torch.cummin(module.bias, dim=0).values)


def mean_weights(weights: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the mean of several networks' weights; counts are the first one's.

    Networks that were fine-tuned from the same start lie in one valley: the network between them is at least as good as
    each, and costs what one does. Perceptrons were not: their hidden layers are laid side by side, which gives the mean of their
    logits.

    Source: Wortsman et al. 2022, uniform soup.
    """
    return {name: _together(name, [one[name] for one in weights]) for name in weights[0]}


def _together(name: str, tensors: Sequence[Tensor]) -> Tensor:
    layer = name.split(".", 2)[2] if name.startswith(CLASSIFIERS) else ""
    if layer in ("embed.weight", "embed.bias"):
        return torch.cat(list(tensors))
    if layer == "classifier.weight":
        return torch.cat(list(tensors), dim=1) / len(tensors)
    if not tensors[0].is_floating_point():
        return tensors[0].clone()
    return torch.stack([one.double() for one in tensors]).mean(dim=0).to(tensors[0].dtype)


def perceptron_weights(head: Head) -> dict[str, Tensor]:
    """Return the weights of the Perceptron that gives a head's logits of a bag of one window, without standardizing it."""
    weight = head.embed.weight.detach() / head.norm.std  # (H, D)
    bias = head.embed.bias.detach() - weight @ head.norm.mean
    classifier = {name: one.detach() for name, one in head.state_dict().items() if name.startswith("classifier.")}
    return {"embed.weight": weight, "embed.bias": bias, **classifier}


def classifier_of(weights: Mapping[str, Tensor], at: int, task: Task, dim: int) -> nn.Module:
    """Return the classifier of the task at this place, out of a network's weights."""
    prefix = f"{CLASSIFIERS}{at}."
    own = {name.removeprefix(prefix): one for name, one in weights.items() if name.startswith(prefix)}
    made = Perceptron(task, dim, len(own["embed.bias"])) if "embed.bias" in own else _linear(task, dim)
    made.load_state_dict(own)
    return made


def as_head(classifier: nn.Module, task: Task, dim: int) -> Head:
    """Return the head of a bag that gives a bag of one window exactly the classifier's logits, of several their mean.

    Without a hidden layer the classifier's weights become the embedding of a tile, `(H, D)`; what comes after it is the
    identity.
    """
    activation: Literal["relu", "identity"]
    if isinstance(classifier, Perceptron):
        hidden, activation = len(classifier.embed.bias), "relu"
        told = classifier.state_dict()
    else:
        weight, bias = (classifier.get_parameter(name).detach() for name in ("weight", "bias"))
        hidden, activation = len(weight), "identity"
        told = {
            "embed.weight": weight.clone(),
            "embed.bias": torch.zeros(hidden),
            "classifier.weight": torch.eye(hidden),
            "classifier.bias": bias.clone(),
        }
    spec = HeadSpec("mean", task.kind, len(task.classes) or 2, hidden=hidden, activation=activation)
    head = make_head(spec, dim)
    head.load_state_dict({"norm.mean": torch.zeros(dim), "norm.std": torch.ones(dim), **told}, strict=True)
    return head.eval()
