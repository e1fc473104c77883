"""Studies of every kind, drawn, without files."""

from functools import partial

import numpy as np

from wsi.evaluate.sheet import make_sheet
from wsi.evaluate.study import Account, Study
from wsi.table import Row


def make_study(kind: str, n: int = 80, *, seed: int = 0, classes: tuple[str, ...] = ()) -> Study:
    """Return n cases of n / 2 patients whose predictions know something of the truth."""
    rng = np.random.default_rng(seed)
    truth: np.ndarray = rng.integers(0, 2 if kind == "binary" else 3, n).astype(float)
    free, times = np.empty((n, 0)), ()
    if kind in ("binary", "multiclass", "ordinal"):
        classes = classes or (("no", "yes") if kind == "binary" else ("G1", "G2", "G3"))
        logits = rng.normal(size=(n, len(classes))) + 1.5 * np.eye(len(classes))[truth.astype(int)]
        outputs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    elif kind == "regression":
        truth = rng.normal(50, 10, n)
        outputs = (truth + rng.normal(0, 5, n))[:, None]
    else:
        risk = rng.normal(size=n)
        death, leave = rng.exponential(np.exp(-risk)), rng.exponential(1.5, n)
        truth = np.stack([np.minimum(death, leave), death <= leave], axis=1)
        outputs, times = risk[:, None], (0.2, 0.5, 1.0)  # type: ignore[assignment]
        free = np.exp(-np.array(times) * np.exp(risk)[:, None])
    cases = tuple(f"case {at}" for at in range(n))
    return Study(
        kind=kind,  # type: ignore[arg-type]
        target="target",
        classes=classes,
        cases=cases,
        patients=tuple(f"patient {at // 2}" for at in range(n)),
        truth=truth,
        outputs=outputs,
        logits=False,
        times=times,
        free=free,
        columns={"site": tuple(("north", "south", "islands")[min(at % 7, 2)] for at in range(n))},
        rows=tuple(Row(at + 2, {"refer": ("no", "yes")[at % 5 == 0]}) for at in range(n)),
        left_out=(Account("nothing was predicted", ("case x",)),),
        notes=(),
    )


made = partial(make_sheet, rounds=40)
"""A sheet with few draws: the intervals of bootstraps are tested by themselves."""
