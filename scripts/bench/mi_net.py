"""mi-Net with max pooling as published, in plain torch, on folds that come with a benchmark: what wsi.mil's `max` is beside.

    WSI_DATA=DATA python scripts/bench/mi_net.py [--set musk1] [--rounds 5]

Three layers, the largest logit of a bag's tiles, one bag a step, one network a fold, 50 epochs of SGD with one setting that looks at
no fold. Source: Wang et al. 2018, mi-Net and its settings for MUSK1.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from form import arguments, close, table
from mil_accuracy import ROUND, SETS, Bags, Places, read_bags, right
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

EPOCHS, RATE, MOMENTUM, DROPOUT = 50, 5e-4, 0.9, 0.5
PENALTY = 0.005
"""Times the squared weights, added to the loss: a weight decay of twice as much."""


def make_network(dim: int) -> nn.Sequential:
    """Return what gives each tile its logit, drawn as Glorot and Bengio 2010 do."""
    layers: list[nn.Module] = []
    for before, after in ((dim, 256), (256, 128), (128, 64)):
        layers += [nn.Linear(before, after), nn.ReLU()]
    network = nn.Sequential(*layers, nn.Dropout(DROPOUT), nn.Linear(64, 1))
    for layer in network:
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    return network


def train(bags: list[Tensor], labels: Tensor, *, seed: int) -> nn.Sequential:
    """Return the network after the last epoch."""
    torch.manual_seed(seed)
    network = make_network(bags[0].shape[1])
    weights = [weight for name, weight in network.named_parameters() if name.endswith("weight")]
    biases = [bias for name, bias in network.named_parameters() if name.endswith("bias")]
    groups: list[dict[str, Any]] = [{"params": weights, "weight_decay": 2 * PENALTY}, {"params": biases}]
    optimizer = torch.optim.SGD(groups, RATE, momentum=MOMENTUM, nesterov=True)
    for _ in range(EPOCHS):
        for i in torch.randperm(len(bags)).tolist():
            optimizer.zero_grad()
            torch.autograd.backward(binary_cross_entropy_with_logits(network(bags[i]).max(), labels[i]))
            optimizer.step()
    return network.eval()


def mistaken(bags: Bags, training: Places, tested: Places, *, seed: int) -> list[int]:
    """Return the tested bags that a network of the others gets wrong."""
    seen = torch.cat([torch.from_numpy(bags.tiles(i)) for i in training])
    mean, std = seen.mean(dim=0), seen.std(dim=0).clamp(min=1e-6)
    scaled = [(torch.from_numpy(bags.tiles(i)) - mean) / std for i in range(len(bags.labels))]
    network = train([scaled[i] for i in training], bags.labels[torch.from_numpy(training)], seed=seed)
    with torch.no_grad():
        logits = np.array([network(scaled[i]).max().item() for i in tested])
    wrong: list[int] = tested[(logits > 0) != bags.positive(tested)].tolist()
    return wrong


def main() -> None:
    """Print the share of bags that were right in each round, and in all."""
    parser = arguments(__doc__)
    parser.add_argument("--set", default="musk1", choices=SETS, help="the benchmark (musk1)")
    parser.add_argument("--rounds", type=int, default=5, choices=range(1, 6), help="rounds of 10 folds (5)")
    chosen = parser.parse_args()
    if "WSI_DATA" not in os.environ:
        raise SystemExit("WSI_DATA names no data folder; it must hold mil")
    torch.set_num_threads(1)
    bags, folds = read_bags(Path(os.environ["WSI_DATA"]) / "mil" / f"{chosen.set}.npz")
    tested, wrong, rows = [], [], []
    for k, trains in enumerate(folds[: ROUND * chosen.rounds]):
        held = np.flatnonzero(~trains)
        tested.append(held)
        wrong.append(mistaken(bags, np.flatnonzero(trains), held, seed=k))
        if k % ROUND == ROUND - 1:
            rows.append([f"round {k // ROUND + 1}", *told(tested[-ROUND:], wrong[-ROUND:])])
            print(" ".join(rows[-1]), flush=True)
    rows.append(["all", *told(tested, wrong)])
    print("\n" + table(["folds", "right", "standard error over bags"], rows))
    close([], chosen.json)


def told(tested: list[Places], wrong: list[list[int]]) -> tuple[str, str]:
    """Return the share that was right and its standard error."""
    mean, error = right(np.concatenate(tested).tolist(), [bag for some in wrong for bag in some])
    return f"{mean:.3f}", f"{error:.3f}"


if __name__ == "__main__":
    main()
