"""Time and memory of a head's training step on bags of 10,000 tiles, beside a plain loop written in torch alone."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from form import Claim, spread
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from wsi.mil import HEADS, Head, HeadSpec, make_head

TILES, DIM, HIDDEN, WIDTH, POOL = 10_000, 1024, 512, 256, 12_000
THREADS = 1
"""CPU seconds of one thread are the same beside other work; two threads that wait for each other count their waiting."""
COHORT = 200
"""Bags of an epoch that a step's time is scaled to."""
PLAIN = "plain loop"
TIME = {
    "mean": 1.15,
    "max": 1.15,
    "gated-attention": 1.2,
    "clam-sb": 1.2,
    "clam-mb": 1.2,
    "dsmil": 1.8,
    "transmil": 8.0,
}
"""Most time of a step, in steps of the plain loop."""
MEMORY = {"transmil": 4.5}
"""Most memory of a step, in that of the plain loop."""
OTHER_MEMORY = 1.8
Step = Callable[[Tensor, Tensor], None]


class PlainGated(nn.Module):
    """Gated attention as one would write it down, without a mask and for one bag."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(DIM, HIDDEN)
        self.tanh, self.gate, self.score = nn.Linear(HIDDEN, WIDTH), nn.Linear(HIDDEN, WIDTH), nn.Linear(WIDTH, 1)
        self.classifier = nn.Linear(HIDDEN, 1)

    def forward(self, bag: Tensor) -> Tensor:
        h = torch.relu(self.embed(bag))  # (N, H)
        scores = self.score(torch.tanh(self.tanh(h)) * torch.sigmoid(self.gate(h)))  # (N, 1)
        found: Tensor = self.classifier(torch.softmax(scores, dim=0).T @ h)  # (1, 1)
        return found


def plain_step(network: PlainGated) -> Step:
    optimizer = torch.optim.Adam(network.parameters(), 1e-4)

    def step(bag: Tensor, label: Tensor) -> None:
        optimizer.zero_grad()
        torch.autograd.backward(binary_cross_entropy_with_logits(network(bag), label))
        optimizer.step()

    return step


def head_step(head: Head) -> Step:
    optimizer = torch.optim.Adam(head.parameters(), 1e-4)

    def step(bag: Tensor, label: Tensor) -> None:
        optimizer.zero_grad()
        logits, extra = head.forward_to_train(bag[None], None, label)
        torch.autograd.backward(binary_cross_entropy_with_logits(logits, label) + extra)
        optimizer.step()

    return step


def make_step(name: str) -> Step:
    torch.manual_seed(0)
    if name == PLAIN:
        return plain_step(PlainGated())
    return head_step(make_head(HeadSpec(name, hidden=HIDDEN, width=WIDTH), DIM).train())


def check_equal(bag: Tensor) -> None:
    """Stop unless the head and the plain network of the same weights give the same logit."""
    plain, head = PlainGated(), make_head(HeadSpec(hidden=HIDDEN, width=WIDTH), DIM)
    names = {name.replace("attention.", ""): tensor for name, tensor in head.state_dict().items()}
    plain.load_state_dict({name: names[name] for name in plain.state_dict()})
    with torch.no_grad():
        if not torch.allclose(plain(bag), head(bag[None])[0], rtol=1e-4, atol=1e-5):
            raise SystemExit("the plain loop and the head don't give the same logit: nothing to compare")


def drawn() -> Tensor:
    """Return the tiles that all bags are cut from, `(POOL, DIM)`."""
    return torch.randn(POOL, DIM, generator=torch.Generator().manual_seed(1))


def steps(*, bags: int) -> tuple[list[str], list[list[str]], list[Claim]]:
    """Return the table's head and rows, and the claims; the networks take turns bag by bag."""
    torch.set_num_threads(THREADS)
    pool, names = drawn(), [PLAIN, *HEADS]
    check_equal(pool[:TILES])
    made = {name: make_step(name) for name in names}
    took: dict[str, list[float]] = {name: [] for name in names}
    for i in range(bags + 1):
        first = i * 97 % (POOL - TILES)
        for name in names:
            start = time.process_time()
            made[name](pool[first : first + TILES], torch.tensor([[float(i % 2)]]))
            took[name].append(time.process_time() - start)
    memory = {name: _memory_of(name) for name in names}
    rows, claims = [], []
    for name in names:
        seconds = took[name][1:]  # the first warms up
        ratio = median(own / plain for own, plain in zip(seconds, took[PLAIN][1:], strict=True))
        share = memory[name] / memory[PLAIN]
        epoch = f"{COHORT * median(seconds):.0f}"
        rows.append([name, spread(seconds), epoch, f"{ratio:.2f}", f"{memory[name] / 1e6:.0f} MB", f"{share:.2f}"])
        if name != PLAIN:
            claims.append(Claim(f"{name}: time of a step over the plain loop's", ratio, TIME[name]))
            claims.append(
                Claim(f"{name}: memory of a step over the plain loop's", share, MEMORY.get(name, OTHER_MEMORY))
            )
    head = ["head", "CPU s a step", f"CPU s, {COHORT} bags", "over plain", "memory of a step", "over plain"]
    return head, rows, claims


def _memory_of(name: str) -> float:
    """Return the bytes that steps take above what was held before them, measured in a process of its own."""
    ended = subprocess.run([sys.executable, __file__, name], capture_output=True, text=True, check=True)
    return float(json.loads(ended.stdout))


def _measure(name: str) -> None:
    torch.set_num_threads(THREADS)
    bag, label, step = drawn()[:TILES], torch.ones(1, 1), make_step(name)
    step(bag[:600], label)
    Path("/proc/self/clear_refs").write_text(
        "5"
    )  # lets the peak begin anew: imports and drawing took more than they hold
    before = _held_bytes("VmRSS")
    for _ in range(3):
        step(bag, label)
    print(json.dumps(_held_bytes("VmHWM") - before))


def _held_bytes(which: str) -> int:
    """Return the memory that this process holds now (VmRSS) or held at most (VmHWM)."""
    told = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(told[which].split()[0]) * 1024


if __name__ == "__main__":
    _measure(sys.argv[1])
