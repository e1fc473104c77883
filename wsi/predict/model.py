"""A model folder, loaded with care: hash, names, shapes and its own selftest are checked before it says anything."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from wsi.card import Head, ModelCard, encoder_card, find_folder, model_card
from wsi.encode.weights import check_header
from wsi.errors import EncoderMismatchError, ModelError, WeightsError
from wsi.mil import GatedAttention, Reading, class_probabilities, outputs_of
from wsi.predict.verdict import BagReading
from wsi.publish import sha256_file

WEIGHTS = "weights.safetensors"
_OOD = ("ood.mean", "ood.axes", "ood.scale")
Floats = NDArray[np.float64]


class LoadedModel:
    """A head (or several that vote) with its calibration."""

    def __init__(self, card: ModelCard, tensors: Mapping[str, Tensor], path: Path) -> None:
        """Build the heads; ModelError when the tensors aren't those of the card's head."""
        self.card = card
        heads = {name: tensor for name, tensor in tensors.items() if name not in _OOD}
        self._members = [_member(card.head, part, path) for part in _split(heads, card.head.members, path)]
        self._ood = _ood(tensors, card, path)

    @property
    def dim(self) -> int:
        """Width of a feature."""
        return self._members[0].embed.in_features

    def read(self, features: NDArray[np.float32]) -> BagReading:
        """Return calibrated probabilities, attention and tile scores of a bag `(N, D)`; means over the members.

        Raises:
            EncoderMismatchError: D isn't what the head was made for.
            EmptyBagError: N is 0.
        """
        self._check(features)
        bag = torch.from_numpy(np.ascontiguousarray(features, np.float32))
        readings = [member.read(bag) for member in self._members]
        return BagReading(
            np.mean([self._bag(r) for r in readings], axis=0),
            np.mean([r.attention.double().numpy() for r in readings], axis=0),
            np.mean([self._tiles(r) for r in readings], axis=0),
        )

    def distance(self, features: NDArray[np.float32]) -> float | None:
        """Return the Mahalanobis distance of the bag's mean from the training bags, in their principal axes."""
        if self._ood is None:
            return None
        mean, axes, scale = self._ood
        place = axes @ (features.mean(axis=0, dtype=np.float64) - mean) / scale  # (K,)
        return float(math.sqrt(float(np.mean(place**2))))

    def _bag(self, reading: Reading) -> Floats:
        calibration = self.card.calibration
        logits = reading.logits.double() / calibration.temperature + calibration.bias
        found: Floats = class_probabilities(logits, self.card.head.type).numpy()
        return found

    def _tiles(self, reading: Reading) -> Floats:
        c, head = self.card.calibration, self.card.head
        temperature = c.temperature if c.tile_temperature is None else c.tile_temperature
        bias = c.bias if c.tile_bias is None else c.tile_bias
        probabilities = class_probabilities(reading.tile_logits.double() / temperature + bias, head.type)  # (N, K)
        names = [one.name for one in head.classes]
        found: Floats = probabilities[:, names.index(head.positive or names[-1])].numpy()
        return found

    def _check(self, features: NDArray[np.float32]) -> None:
        if features.ndim != 2 or features.shape[1] != self.dim:
            raise EncoderMismatchError(
                f"model {self.card.id} reads features of {self.dim}, found {features.shape}; encode with {self.card.encoder.name}"
            )


def load_model(name: str) -> LoadedModel:
    """Return the model of a name or folder, once it has reproduced its selftest on this machine.

    Raises:
        ModelError: no such model, a card that doesn't keep the schema, or a selftest that fails.
        WeightsError: weights that are missing, damaged or of another head.
    """
    folder = find_folder(name, "model")
    card = model_card(folder)
    path = folder / WEIGHTS
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; a model folder holds {WEIGHTS}: get the folder again")
    found = sha256_file(path)
    if found != card.weights_sha256:
        raise WeightsError(f"{path}: sha256 {found}, the card says {card.weights_sha256}; get the folder again")
    model = LoadedModel(card, read_tensors(path), path)
    _check_encoder(model)
    selftest(model, folder)
    return model


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return all tensors of a safetensors file, finite; WeightsError when it is damaged or holds NaN."""
    check_header(path)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise WeightsError(f"{path}: not a whole safetensors file ({error}); get it again") from error
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise WeightsError(f"{path}: {name} holds NaN or infinity; the file is damaged, get it again")
    return tensors


def selftest(model: LoadedModel, folder: Path) -> None:
    """Raise ModelError unless the model gives on its own example what its card says, on this machine."""
    told = model.card.selftest
    if Path(told.file).name != told.file:
        raise ModelError(f"{folder}: selftest.file must be a file name in that folder, found {told.file!r}")
    path = folder / told.file
    tensors = read_tensors(path)
    if "features" not in tensors or tensors["features"].ndim != 2:
        raise ModelError(f"{path}: holds {', '.join(tensors) or 'nothing'}; expected features (N, D)")
    found = model.read(tensors["features"].float().numpy()).probabilities
    expected = np.array(told.probability)
    if expected.shape != found.shape or not np.allclose(found, expected, rtol=0, atol=told.tolerance):
        raise ModelError(
            f"{path}: the selftest gives {np.round(found, 5).tolist()}, the card says {told.probability}; "
            "this model can't be trusted on this machine: install it again"
        )


def _check_encoder(model: LoadedModel) -> None:
    """Raise EncoderMismatchError when the encoder that the card names gives features of another width."""
    name = model.card.encoder.name
    try:
        dim = encoder_card(find_folder(name, "encoder")).dim
    except ModelError:
        return  # a plug-in, or a folder that the run will name itself
    if dim != model.dim:
        raise EncoderMismatchError(f"model {model.card.id} reads features of {model.dim}, {name} gives {dim}")


def _split(tensors: Mapping[str, Tensor], members: int, path: Path) -> list[dict[str, Tensor]]:
    if members == 1:
        return [dict(tensors)]
    parts: list[dict[str, Tensor]] = [{} for _ in range(members)]
    for name, tensor in tensors.items():
        first, _, rest = name.partition(".")
        number, _, own = rest.partition(".")
        if first != "members" or not number.isdecimal() or int(number) >= members:
            raise WeightsError(f"{path}: {name}; expected names from members.0. to members.{members - 1}.")
        parts[int(number)][own] = tensor
    return parts


def _member(head: Head, tensors: dict[str, Tensor], path: Path) -> GatedAttention:
    embed, tanh = tensors.get("embed.weight"), tensors.get("attention.tanh.weight")
    if embed is None or embed.ndim != 2 or (head.aggregate == "gated-attention" and (tanh is None or tanh.ndim != 2)):
        raise WeightsError(f"{path}: holds no embed.weight and attention.tanh.weight, which every such head has")
    network = GatedAttention(
        embed.shape[1],
        hidden=embed.shape[0],
        width=len(tanh) if tanh is not None else 1,
        outputs=outputs_of(head.type, len(head.classes)),
        activation=head.activation,
        aggregate=head.aggregate,
    )
    wanted = network.state_dict()
    differing = sorted(set(wanted) ^ set(tensors)) or [n for n, t in wanted.items() if t.shape != tensors[n].shape]
    if differing:
        raise WeightsError(f"{path}: {', '.join(differing[:3])} missing, unexpected or of a wrong shape for this head")
    network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    if bool((network.norm.std <= 0).any()):
        raise WeightsError(f"{path}: norm.std must be positive")
    return network.eval()


def _ood(tensors: Mapping[str, Tensor], card: ModelCard, path: Path) -> tuple[Floats, Floats, Floats] | None:
    if card.out_of_distribution is None:
        return None
    missing = [name for name in _OOD if name not in tensors]
    if missing:
        raise WeightsError(f"{path}: holds no {', '.join(missing)}, which the card's out_of_distribution needs")
    mean, axes, scale = (tensors[name].double().numpy() for name in _OOD)
    if axes.shape != (len(scale), len(mean)) or not (scale > 0).all():
        raise WeightsError(f"{path}: ood.mean {mean.shape}, ood.axes {axes.shape}, ood.scale {scale.shape} don't agree")
    return mean, axes, scale
