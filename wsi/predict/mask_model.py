"""A dense model's folder, loaded with care: hash, names, shapes and its own example are checked before it marks anything."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from wsi.card import MaskCard, ModelCard
from wsi.encode.device import find_device
from wsi.errors import ModelError, WeightsError
from wsi.field import Axis, Field
from wsi.geometry import Circle
from wsi.model_folder import any_card, find_folder
from wsi.predict.model import load_model
from wsi.predict.weights import read_tensors, sound
from wsi.segment import Network, Reading, UNetSpec, empty_network, labels_on, postprocessed, probabilities
from wsi.windows import Windows

WEIGHTS = "weights.safetensors"
IMAGE = "image"


class MaskModel:
    """A network of masks, or several that vote, with its card."""

    def __init__(self, card: MaskCard, network: Network) -> None:
        self.card = card
        self._network = network.eval()

    def mark(
        self,
        prepared: Field,
        original: Field,
        *,
        view: Circle | None = None,
        plan: Windows | None = None,
        beat: Callable[[], None] | None = None,
    ) -> NDArray[np.uint8]:
        """Return the structure of each sample of an image as it was read, `(*original.shape)`; 0 is none.

        Args:
            prepared: the image after the card's steps.
            original: the grid that it was read on; its values aren't looked at.
            view: the picture's round field of view, in px of `original`; None: it has none.
            plan: the windows of `prepared` to look at; None: all that the card asks for.
            beat: called now and then, as a sign of life.

        Raises:
            ModelError: the card's steps gave another number of channels than the network reads.
        """
        card = self.card
        if len(prepared.channels) != card.network.channels:
            raise ModelError(
                f"model {card.id}: its network reads {card.network.channels} channels, the card's steps give "
                f"{len(prepared.channels)}"
            )
        reading = Reading(
            window=tuple(card.input.window) if card.input.window else None,
            overlap=card.input.overlap,
            flips=tuple(card.network.flips),
            pad=card.input.pad,
        )
        values = np.asarray(prepared.values, np.float32)
        found = probabilities(self._network, values, reading, plan=plan, beat=beat)
        names = tuple(str(label) for label in range(len(found)))
        labels = labels_on(prepared.with_values(found, channels=names), original, threshold=card.threshold)
        return postprocessed(labels, card.postprocess, [one.name for one in card.structures], view=view)


def load_mask_model(name: str | Path, *, device: str = "auto", threads: int | None = None) -> MaskModel:
    """Return the dense model of a name or folder, once it has reproduced its selftest on this machine.

    Raises:
        ModelError: no such model, a card that doesn't keep the schema or is another kind's, or a selftest that fails.
        WeightsError: weights that are missing, damaged or of another network.
    """
    folder = find_folder(str(name), "model")
    card = any_card(folder)
    if isinstance(card, ModelCard):
        raise ModelError(f"{folder}: {card.id} grades bags and marks no structures")
    path = folder / WEIGHTS
    network = _network(card, path)
    if threads is not None:
        torch.set_num_threads(threads)
    model = MaskModel(card, network.to(find_device(device)))
    _check_selftest(model, folder)
    return model


def check_model(name: str | Path) -> None:
    """Load a model of any kind, which must reproduce its selftest here; errors as `load_model` and `load_mask_model`."""
    if isinstance(any_card(find_folder(str(name), "model")), MaskCard):
        load_mask_model(name, device="cpu")
    else:
        load_model(name)


def _network(card: MaskCard, path: Path) -> Network:
    """Return the card's network with the weights at `path`, which may be stored in half precision."""
    told = card.network
    spec = UNetSpec(told.axes, told.channels, told.classes, widths=tuple(told.widths), stem=told.stem)
    tensors = read_tensors(path, sha256=card.weights_sha256)
    network = empty_network(spec, members=told.members)
    wanted = network.state_dict()
    if set(tensors) != set(wanted) or any(tensors[name].shape != empty.shape for name, empty in wanted.items()):
        stray = sorted(set(tensors) ^ set(wanted))[:3]
        raise WeightsError(
            f"{path}: not the weights of the card's network ({len(tensors)} tensors, {len(wanted)} expected; "
            f"{', '.join(stray) or 'other shapes'}); get the folder again"
        )
    loaded = {name: sound(path, name, tensors[name]) for name in wanted}
    network.load_state_dict(loaded, strict=True, assign=True)
    return network


def _check_selftest(model: MaskModel, folder: Path) -> None:
    """Raise ModelError unless the model marks its example's image as its card says."""
    told = model.card.selftest
    path = folder / told.file
    tensors = read_tensors(path)
    image = tensors.get(IMAGE)
    count = model.card.network.axes
    if image is None or set(tensors) != {IMAGE} or image.ndim != count + 1 or not image.numel():
        raise ModelError(f"{path}: expected one tensor, image (C, {count} axes)")
    values = sound(path, IMAGE, image).numpy()
    axes = tuple(Axis(name, "sample", 1.0) for name in "ijk"[:count])
    field = Field(values, axes, np.eye(count + 1), tuple(f"{c}" for c in range(len(values))))
    labels = model.mark(field, field)
    found = np.bincount(labels.reshape(-1), minlength=len(told.samples) + 1)[1:]
    if not (np.abs(found - np.array(told.samples)) <= told.tolerance * labels.size).all():
        raise ModelError(
            f"{path}: the selftest marks {found.tolist()} samples, the card says {told.samples}; this model can't be "
            "trusted on this machine: get its folder again, or tell its makers"
        )
