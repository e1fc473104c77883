"""A whole fine-tuning: labeled tiles and an encoder in; figures and an encoder's folder out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from wsi import evaluate
from wsi.card import EncoderCard
from wsi.encode.load import load_network
from wsi.evaluate import Figure
from wsi.publish import sha256_bytes, sha256_file
from wsi.train.checkpoint import Epoch
from wsi.train.crossval import CHECKPOINT
from wsi.train.encoder_folder import write_encoder
from wsi.train.figures import Line
from wsi.train.finetune import TuneConfig, Tuning, make_tuned
from wsi.train.probe import fit_probe
from wsi.train.tasks import Floats, Task, fitted, predict
from wsi.train.tiles import TileSet, split_tiles

PROBE = "linear probe of the encoder as it came, same test tiles"
TUNED = "fine-tuned, test tiles"
TUNED_PROBE = "linear probe of the fine-tuned encoder, same test tiles"


@dataclass(frozen=True, slots=True)
class TunedRun:
    """Figures on the test groups, and what each epoch gave."""

    lines: tuple[Line, ...]
    epochs: tuple[Epoch, ...]


def tune(
    tiles: TileSet,
    encoder: str,
    config: TuneConfig,
    folder: Path,
    *,
    out: Path | None,
    weights: Path | None = None,
    watch: Callable[[Epoch], None] | None = None,
) -> TunedRun:
    """Fine-tune an encoder and compare it with a linear probe of what it was, on groups that neither saw.

    Args:
        folder: of the run; its checkpoint is gone on from. out: the encoder's folder; None writes none.

    Raises:
        LabelsError, ModelError, WeightsError, UsageError: see `read_tiles`, `load_encoder`, `parameter_groups`.
    """
    card, network, digest, _ = load_network(encoder, weights)
    train, validation, test = split_tiles(tiles, seed=config.seed, shares=(config.validation, config.test))
    labels = np.array([[float(tile.label)] for tile in tiles.tiles])
    plain = Task("binary" if len(tiles.classes) == 2 else "multiclass", tiles.classes)
    task = fitted(plain, labels[train], balanced=True)
    tuning = Tuning(make_tuned(card, network, task, seed=config.seed), card, tiles, task, config)
    before = _probe(tuning, labels, task, train, validation, test)
    epochs = tuning.run(train, validation, folder / CHECKPOINT, key=_key(tiles, card, digest, config), watch=watch)
    said = predict(tuning.logits(test).double(), task).numpy()
    after = _probe(tuning, labels, task, train, validation, test)
    owners = [tiles.tiles[i].group for i in test]
    lines = [
        Line(over, _figure(labels[test, 0], one, owners), of_model=over == TUNED)
        for over, one in ((TUNED, said), (TUNED_PROBE, after), (PROBE, before))
    ]
    if len(tiles.classes) == 2:
        both = evaluate.compare_models(labels[test, 0], (said[:, 1], before[:, 1]), patients=owners)
        lines.append(Line("fine-tuned less the linear probe as it came", both.difference, of_model=False))
    if out is not None and tuning.portion.rank == 0:
        write_encoder(out, tuning.model, card, tiles, config, lines, base_sha256=digest)
    return TunedRun(tuple(lines), epochs)


def _probe(
    tuning: Tuning, labels: Floats, task: Task, train: Sequence[int], validation: Sequence[int], test: Sequence[int]
) -> Floats:
    """Return what a linear model of the encoder's features says of the test tiles, `(n, K)`."""
    places = [*train, *validation, *test]
    rows = np.zeros((len(labels), tuning.card.dim))
    rows[places] = tuning.embeddings(places)
    probe = fit_probe(rows, labels, task, train=train, validation=validation)
    found: Floats = predict(torch.from_numpy(probe(rows[list(test)])), task).numpy()
    return found


def _figure(truth: Floats, chances: Floats, owners: list[str]) -> Figure:
    if chances.shape[1] == 2:
        return evaluate.auc_interval(truth, chances[:, 1], patients=owners)
    return evaluate.macro_auc_interval(truth, chances, patients=owners)


def _key(tiles: TileSet, card: EncoderCard, digest: str, config: TuneConfig) -> str:
    """Return a name for all that the result depends on."""
    lines = [f"{sha256_file(tile.path)} {tile.label} {tile.group}" for tile in tiles.tiles]
    return sha256_bytes(
        "\n".join([digest, card.computed_by(), config.model_dump_json(), *tiles.classes, *lines]).encode()
    )
