"""What a run is to do, settled before the first slide is opened: scale, model, encoder and their hashes."""

from pathlib import Path
from typing import Literal

from wsi.card import Accepts, AcceptsField, Card, EncoderCard, EncoderInput, MaskCard, ModelCard
from wsi.config import Config, Strict
from wsi.encode.backends import require_backend
from wsi.encode.sources import find_weights
from wsi.encode.timm_card import timm_card
from wsi.errors import ModelError, UsageError
from wsi.model_folder import CARD, any_card, encoder_card, encoder_folder, find_folder, folder_digest, model_card
from wsi.publish import sha256_bytes

Stage = Literal["tissue", "tile", "encode", "predict", "export"]
STAGES: tuple[Stage, ...] = ("tissue", "tile", "encode", "predict", "export")


class Recipe(Strict):
    """A run's resolved settings; two runs with the same recipe write the same bytes.

    `model` and `encoder` are "" where the run doesn't come to them, and then so are their hashes.
    """

    until: Stage
    config: Config
    tile_px: int = 0
    mpp: float = 0.0
    """µm per px of the tiles."""
    encoder: str = ""
    encoder_sha256: str = ""
    """Over the encoder's card and weights."""
    weights_sha256: str = ""
    model: str = ""
    model_id: str = ""
    model_version: str = ""
    model_sha256: str = ""
    encoder_id: str = ""
    dim: int = 0
    """Width of a feature; 0 where a plug-in says it later."""
    field: AcceptsField | None = None
    """What the model says of images that it reads whole; None: it reads slides."""
    dense: bool = False
    """The model marks structures, and has no encoder."""
    multiple: int | None = None
    """Of a dense model: what the sides of its windows are multiples of."""

    @property
    def stages(self) -> tuple[Stage, ...]:
        last = STAGES[: STAGES.index(self.until) + 1]
        if self.dense:
            return tuple(s for s in last if s != "encode")
        return last if self.model else tuple(s for s in last if s in ("tissue", "tile", "encode"))


def settle_recipe(config: Config, until: Stage) -> Recipe:
    """Check a run's settings against its model and encoder and return the recipe.

    Raises:
        UsageError: settings that contradict each other or leave the scale open.
        ModelError, WeightsError: a model or encoder that isn't there or is damaged.
    """
    if until in ("predict", "export") and config.model is None:
        raise UsageError("no model to grade with: give one with --model NAME, or run `wsi-run encode` for features")
    recipe = Recipe(until=until, config=config)
    if config.model is not None:
        folder = find_folder(config.model, "model").resolve()
        card = any_card(folder)
        _require_consent(card, config)
        if isinstance(card.input, AcceptsField):
            return _of_whole_images(recipe, card, folder)
    if until in ("tissue", "tile"):
        recipe = _with_scale(recipe)
    elif config.model is not None:
        recipe = _with_model(recipe, config.model)
    elif config.encode.encoder is not None:
        recipe = _with_encoder(recipe, config.encode.encoder)
    elif until == "encode":
        raise UsageError("no encoder: give one with --encoder NAME, or a model with --model NAME")
    recipe = recipe.model_copy(
        update={"tile_px": config.tile.tile_px or recipe.tile_px, "mpp": config.tile.mpp or recipe.mpp}
    )
    if until != "tissue" and not (recipe.tile_px and recipe.mpp):
        raise UsageError("the tiles' size is open: give --tile-px and --tile-mpp, or an encoder or model that says it")
    return recipe


def _require_consent(card: Card, config: Config) -> None:
    """Raise UsageError for a model whose terms need a word that wasn't given."""
    terms = card.licence.weights
    if card.licence.consent and terms not in config.accept_licence:
        note = f" ({card.licence.note})" if card.licence.note else ""
        raise UsageError(
            f"model {card.id}: its weights are under {terms}{note}. Where your use keeps these terms, say so with "
            f"--accept-licence {terms}, or in a settings file with accept_licence: [{terms}]"
        )


def _of_whole_images(recipe: Recipe, card: Card, folder: Path) -> Recipe:
    """Return the recipe of a model that reads images whole: all that it takes is in its card."""
    config = recipe.config
    asked = {
        "--tile-px": config.tile.tile_px,
        "--tile-mpp": config.tile.mpp,
        "--encoder": config.encode.encoder,
        "--weights": config.encode.weights,
        "--tissue": config.tissue.polygons,
        "--mpp": config.read.mpp,
        "--mpp-table": config.read.mpp_table,
    }
    given = [name for name, value in asked.items() if value is not None]
    if given:
        raise UsageError(f"{', '.join(given)}: for slides, but model {card.id} reads {card.input.told}; leave it out")
    assert isinstance(card.input, AcceptsField)
    found = {
        "model": str(folder),
        "model_id": card.id,
        "model_version": card.version,
        "model_sha256": folder_digest(folder),
        "field": card.input,
        "dense": isinstance(card, MaskCard),
        "multiple": card.network.multiple if isinstance(card, MaskCard) else None,
    }
    recipe = recipe.model_copy(update=found)
    if isinstance(card, MaskCard) and config.encode.backend != "torch":
        raise UsageError(f"--backend {config.encode.backend}: for encoders, and model {card.id} has none; leave it out")
    if isinstance(card, MaskCard) or recipe.until in ("tissue", "tile"):
        return recipe
    encoder = encoder_folder(card.encoder.name, folder).resolve()
    recipe = _with_encoder(recipe, str(encoder))
    _check_encoder(recipe, card)
    return recipe.model_copy(update={"mpp": 0.0})


def _check_encoder(recipe: Recipe, card: ModelCard) -> None:
    """Raise ModelError unless the encoder that was found has the weights that the model was made with."""
    if recipe.weights_sha256 and recipe.weights_sha256 != card.encoder.sha256:
        raise ModelError(
            f"model {card.id} was trained on encoder weights {card.encoder.sha256[:12]}, "
            f"found {recipe.weights_sha256[:12]} for {card.encoder.name}; use the weights it names"
        )


def _with_scale(recipe: Recipe) -> Recipe:
    """Return the recipe with the tiles that its model or encoder takes; neither need be able to run here."""
    config = recipe.config
    wanted: Accepts | EncoderInput | None = None
    if config.model is not None:
        wanted = model_card(find_folder(config.model, "model")).slide_input
    elif config.encode.encoder is not None:
        card, _ = _encoder(config.encode.encoder)
        wanted = card.input if card else None
    return recipe.model_copy(update={"tile_px": wanted.tile_px, "mpp": wanted.mpp}) if wanted else recipe


def _with_model(recipe: Recipe, name: str) -> Recipe:
    folder = find_folder(name, "model").resolve()
    card = model_card(folder)
    config, eats = recipe.config, card.slide_input
    encoder = _same_encoder(config.encode.encoder, card)
    asked = {
        "encoder": (config.encode.encoder, encoder),
        "tile_px": (config.tile.tile_px, eats.tile_px),
        "mpp": (config.tile.mpp, eats.mpp),
    }
    for what, (found, expected) in asked.items():
        if found not in (None, expected):
            raise UsageError(
                f"model {card.id} was trained with {what} {expected}, but {found} is asked for; "
                "leave it out, or give an encoder with --encoder NAME for features without a grade"
            )
    recipe = _with_encoder(recipe, encoder)
    _check_encoder(recipe, card)
    return recipe.model_copy(
        update={
            "model": str(folder),
            "model_id": card.id,
            "model_version": card.version,
            "model_sha256": folder_digest(folder),
            "tile_px": eats.tile_px,
            "mpp": eats.mpp,
        }
    )


def _same_encoder(asked: str | None, card: ModelCard) -> str:
    """Return the encoder to run: a folder that was asked for, when it holds the model's encoder under its id."""
    if asked is None or asked == card.encoder.name or not Path(asked, CARD).is_file():
        return card.encoder.name
    found = encoder_card(Path(asked))
    return asked if (found.id, found.weights.sha256) == (card.encoder.name, card.encoder.sha256) else card.encoder.name


def _with_encoder(recipe: Recipe, name: str) -> Recipe:
    asked = recipe.config.encode
    require_backend(asked.backend, device=asked.device, precision=asked.precision)
    if asked.backend != "torch":
        on_cpu = recipe.config.model_copy(update={"encode": asked.model_copy(update={"device": "cpu"})})
        recipe = recipe.model_copy(update={"config": on_cpu})
    card, folder = _encoder(name)
    found = {"encoder": name if folder is None else str(folder), "encoder_id": name}
    if card is None:
        return recipe.model_copy(update={**found, "encoder_sha256": sha256_bytes(name.encode())})
    weights = asked.weights
    digest = find_weights(card, folder, given=Path(weights) if weights else None).sha256
    content = card.model_dump_json(exclude={"weights", "title", "citation"}) + digest
    return recipe.model_copy(
        update={
            **found,
            "encoder_id": card.id,
            "weights_sha256": digest,
            "encoder_sha256": sha256_bytes(content.encode()),
            "tile_px": card.input.tile_px,
            "mpp": card.input.mpp,
            "dim": card.dim,
        }
    )


def _encoder(name: str) -> tuple[EncoderCard | None, Path | None]:
    """Return the encoder's card and folder; (None, None) for a plug-in, which says both when it is loaded."""
    if name.startswith("timm:"):
        return timm_card(name.removeprefix("timm:")), None
    from wsi.encode.catalog import plugin_names

    try:
        folder = find_folder(name, "encoder").resolve()
    except ModelError:
        if name in plugin_names():
            return None, None
        raise
    return encoder_card(folder), folder
