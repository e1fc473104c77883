"""What tells the features of one encoder from those of another."""

import json
from dataclasses import asdict, dataclass, fields

from wsi.card import EncoderCard
from wsi.errors import ArtifactError
from wsi.publish import sha256_bytes


@dataclass(frozen=True, slots=True)
class EncoderIdentity:
    """Everything that a feature's value depends on, kept in every features.h5.

    transform is a digest of the steps from tile to input; weights_sha256 is that of the weights file;
    tile_px and mpp (µm per px) say what the tiles were; precision is what the network ran in, backend what ran it.
    """

    id: str
    revision: str
    weights_sha256: str
    architecture: str
    pooling: str
    transform: str
    tile_px: int
    mpp: float
    precision: str
    dim: int
    licence: str
    backend: str = "torch"

    def to_json(self) -> str:
        """Return one line of JSON, keys sorted."""
        return json.dumps(asdict(self), sort_keys=True)

    def differences(self, other: "EncoderIdentity") -> list[str]:
        """Return what keeps features of the two from being mixed, as `name: ours, theirs`; empty when nothing does.

        The names, revision and licence may differ: the sha256 of the weights says more.
        """
        return [
            f"{field.name}: {mine}, {theirs}"
            for field in fields(self)
            if field.name not in ("id", "revision", "licence")
            and (mine := getattr(self, field.name)) != (theirs := getattr(other, field.name))
        ]


def identify(
    card: EncoderCard, *, weights_sha256: str, revision: str, precision: str, backend: str = "torch"
) -> EncoderIdentity:
    """Return the identity of the encoder that `card` describes, run at `precision` by `backend`."""
    transform = json.dumps(card.transform.model_dump(mode="json"), sort_keys=True)
    architecture = json.dumps(card.architecture.model_dump(mode="json"), sort_keys=True)
    pooling = f"{card.pooling} after {card.prefix_tokens}" if "mean" in card.pooling else card.pooling
    return EncoderIdentity(
        id=card.id,
        revision=revision,
        weights_sha256=weights_sha256,
        architecture=sha256_bytes(architecture.encode()),
        pooling=f"{pooling}, mean of eight turns" if card.turns else pooling,
        transform=sha256_bytes(transform.encode()),
        tile_px=card.input.tile_px,
        mpp=card.input.mpp,
        precision=precision,
        dim=card.dim,
        licence=card.licence.weights,
        backend=backend,
    )


def parse_identity(text: str) -> EncoderIdentity:
    """Read back `EncoderIdentity.to_json`; ArtifactError when it is anything else."""
    kinds = {field.name: field.type for field in fields(EncoderIdentity)}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"the encoder's identity is not JSON ({error})") from error
    found = {"backend": "torch", **found} if isinstance(found, dict) else found  # the only one until there was a choice
    if not isinstance(found, dict) or set(found) != set(kinds):
        raise ArtifactError(f"the encoder's identity must have the keys {', '.join(kinds)}")
    wrong = [name for name, kind in kinds.items() if type(found[name]) is not kind]
    if wrong:
        raise ArtifactError(f"the encoder's identity has a wrong type at {', '.join(wrong)}")
    return EncoderIdentity(**found)


def retiled(card: EncoderCard, *, tile_px: int | None, mpp: float | None) -> EncoderCard:
    """Return the card for tiles of another size or scale than the publishers'.

    Tiles of another size are brought to the size that the network was going to get.
    """
    tile_px = tile_px or card.input.tile_px
    size = {"tile_px": tile_px, "mpp": mpp or card.input.mpp}
    resize_px = card.transform.resize_px
    if tile_px != card.input.tile_px and resize_px is None:
        resize_px = card.input.tile_px
    return card.model_copy(
        update={
            "input": card.input.model_copy(update=size),
            "transform": card.transform.model_copy(update={"resize_px": resize_px}),
        }
    )
