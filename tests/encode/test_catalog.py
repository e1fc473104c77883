"""Each card of models/encoders against what its publishers say, written out here once more."""

from dataclasses import dataclass

import pytest

from wsi.card import EncoderCard
from wsi.encode.build import Pooled, build, output_dim
from wsi.model_folder import ENCODERS, encoder_card
from wsi.resources import shipped

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
OPTIMUS = (0.707223, 0.578729, 0.703617), (0.211883, 0.230117, 0.177517)
HIBOU = (0.7068, 0.5755, 0.722), (0.195, 0.2316, 0.1816)
LUNIT = (0.70322989, 0.53606487, 0.66096631), (0.21716536, 0.26081574, 0.20723464)
Numbers = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True)
class Facts:
    """params: millions, as published; seen_px: what the network sees; mean_from: first token of the mean."""

    hub: str
    params: str
    dim: int
    licence: str
    gated: bool
    precision: str
    normalize: Numbers = IMAGENET
    pooling: str = "cls"
    mean_from: int = 1
    tile_px: int = 224
    resize: str = "224 bilinear"
    seen_px: int = 224
    keys: str = "timm"


NCND = "CC-BY-NC-ND-4.0"
APACHE = "Apache-2.0"
OWKIN = "Owkin non-commercial"
KAIKO = "1aurent/vit_{}.kaiko_ai_towards_large_pathology_fms"
SEE = "see the model card"
CUBIC = "224 bicubic"
BUILT = {
    "uni": Facts("MahmoodLab/UNI", "303.4", 1024, NCND, True, "fp16", tile_px=256),
    "uni2-h": Facts("MahmoodLab/UNI2-h", "681.4", 1536, NCND, True, "bf16", tile_px=256, mean_from=9),
    "gigapath": Facts(
        "prov-gigapath/prov-gigapath",
        "1135.0",
        1536,
        "Apache-2.0 with conditions",
        True,
        "fp16",
        tile_px=256,
        resize="256 bicubic, crop 224",
    ),
    "virchow": Facts("paige-ai/Virchow", "631.2", 2560, APACHE, True, "fp16", pooling="cls+mean", resize=CUBIC),
    "virchow2": Facts(
        "paige-ai/Virchow2", "631.2", 2560, NCND, True, "fp16", pooling="cls+mean", mean_from=5, resize=CUBIC
    ),
    "h-optimus-0": Facts(
        "bioptimus/H-optimus-0", "1134.8", 1536, APACHE, False, "fp16", OPTIMUS, mean_from=5, resize=CUBIC
    ),
    "h-optimus-1": Facts(
        "bioptimus/H-optimus-1", "1134.8", 1536, NCND, True, "fp16", OPTIMUS, mean_from=5, resize=CUBIC
    ),
    "h0-mini": Facts("bioptimus/H0-mini", "85.7", 768, NCND, True, "fp16", OPTIMUS, mean_from=5, resize=CUBIC),
    "phikon": Facts("owkin/phikon", "85.8", 768, OWKIN, False, "fp32", keys="transformers-vit"),
    "phikon-v2": Facts("owkin/phikon-v2", "303.4", 1024, OWKIN, False, "fp32", keys="transformers-dinov2"),
    "hibou-b": Facts(
        "histai/hibou-b",
        "85.7",
        768,
        APACHE,
        True,
        "fp16",
        HIBOU,
        mean_from=5,
        resize=CUBIC,
        keys="transformers-dinov2",
    ),
    "hibou-l": Facts(
        "histai/hibou-L",
        "303.7",
        1024,
        APACHE,
        True,
        "fp16",
        HIBOU,
        mean_from=5,
        resize=CUBIC,
        keys="transformers-dinov2",
    ),
    "kaiko-vits8": Facts(KAIKO.format("small_patch8_224"), "21.7", 384, SEE, False, "fp32", HALF),
    "kaiko-vits16": Facts(KAIKO.format("small_patch16_224"), "21.7", 384, SEE, False, "fp32", HALF),
    "kaiko-vitb8": Facts(KAIKO.format("base_patch8_224"), "85.8", 768, SEE, False, "fp32", HALF),
    "kaiko-vitb16": Facts(KAIKO.format("base_patch16_224"), "85.8", 768, SEE, False, "fp32", HALF),
    "kaiko-vitl14": Facts(
        KAIKO.format("large_patch14_reg4_dinov2"), "303.2", 1024, SEE, False, "fp32", HALF, mean_from=5
    ),
    "midnight-12k": Facts("kaiko-ai/midnight", "1135", 1536, "MIT", True, "fp16", HALF, keys="transformers-dinov2"),
    "openmidnight": Facts("SophontAI/OpenMidnight", "1135", 1536, APACHE, True, "fp16", mean_from=5, keys="dinov2"),
    "gpfm": Facts("majiabo/GPFM", "303.2", 1024, "MIT or CC-BY-NC-ND-4.0", False, "fp16", resize=CUBIC),
    "mstar": Facts("Wangyh/mSTAR", "303.4", 1024, NCND, True, "fp32"),
    "lunit-vits8": Facts(
        "1aurent/vit_small_patch8_224.lunit_dino", "21.7", 384, "Lunit non-commercial", False, "fp32", LUNIT, resize=""
    ),
    "resnet50-imagenet": Facts(
        "timm/resnet50.tv_in1k", "23.5", 2048, "BSD-3-Clause", False, "fp32", pooling="model", tile_px=256, mean_from=0
    ),
    "dinov2-vitb14": Facts("timm/vit_base_patch14_dinov2.lvd142m", "85.7", 768, APACHE, False, "fp16", resize=CUBIC),
}
DESCRIBED = {
    "conch": ("package", 512),
    "conchv1-5": ("remote-code", 768),
    "musk": ("package", 1024),
    "genbio-pathfm": ("remote-code", 4608),
    "rudolfv-2": ("remote-code", 1536),
    "rudolfv-2-b": ("remote-code", 768),
    "rudolfv-2-s": ("remote-code", 384),
}
MPP_RANGES = {
    "virchow2": (0.25, 2.0),
    "midnight-12k": (0.25, 2.0),
    "musk": (0.25, 1.0),
    "rudolfv-2": (0.25, 2.0),
    "rudolfv-2-b": (0.25, 2.0),
    "rudolfv-2-s": (0.25, 2.0),
}


def card_of(name: str) -> EncoderCard:
    return encoder_card(shipped("models") / ENCODERS / name)


def test_every_card_is_in_these_tables() -> None:
    found = {path.parent.name for path in (shipped("models") / ENCODERS).glob("*/model.yaml")}
    assert found == {*BUILT, *DESCRIBED, "mobilenetv2-imagenet"}


def test_a_card_is_named_as_its_folder() -> None:
    names = [*BUILT, *DESCRIBED, "mobilenetv2-imagenet"]
    assert [card_of(name).id for name in names] == names


@pytest.mark.parametrize("name", BUILT)
def test_architecture_is_the_published_one(name: str) -> None:
    card, facts = card_of(name), BUILT[name]
    network = build(card.architecture)
    millions = sum(one.numel() for one in network.parameters()) / 1e6
    digits = len(facts.params.partition(".")[2])
    assert f"{millions:.{digits}f}" == facts.params
    assert card.parameters_m == pytest.approx(millions, abs=0.006)
    pooled = Pooled(network, card.pooling, prefix_tokens=card.prefix_tokens)
    assert output_dim(pooled, side_px=facts.seen_px) == facts.dim == card.dim
    assert getattr(network, "num_prefix_tokens", 0) == facts.mean_from == card.prefix_tokens


@pytest.mark.parametrize("name", BUILT)
def test_tiles_are_prepared_as_published(name: str) -> None:
    card, facts = card_of(name), BUILT[name]
    how = card.transform
    resize = f"{how.resize_px} {how.interpolation}" if how.resize_px else ""
    assert resize + (f", crop {how.crop_px}" if how.crop_px else "") == facts.resize
    assert (how.mean, how.std) == facts.normalize
    assert (card.input.tile_px, card.input.mpp) == (facts.tile_px, 0.5)
    assert card.input.mpp_range == MPP_RANGES.get(name)
    assert facts.seen_px == (how.crop_px or how.resize_px or card.input.tile_px)


@pytest.mark.parametrize("name", BUILT)
def test_pooling_precision_and_terms_are_as_published(name: str) -> None:
    card, facts = card_of(name), BUILT[name]
    assert (card.pooling, card.precision) == (facts.pooling, facts.precision)
    assert (card.licence.weights, card.licence.gated) == (facts.licence, facts.gated)
    assert (card.weights.hub, card.weights.keys) == (facts.hub, facts.keys)


@pytest.mark.parametrize("name", DESCRIBED)
def test_encoders_that_need_other_code_are_only_described(name: str) -> None:
    card = card_of(name)
    assert (card.architecture.library, card.dim) == DESCRIBED[name]
    assert card.input.mpp_range == MPP_RANGES.get(name)
    with pytest.raises(ValueError, match="only timm's networks are built here"):
        build(card.architecture)


def test_shipped_encoder_has_the_published_size() -> None:
    """Keras counts 2,223,872 trainable parameters in MobileNetV2 1.0 without its top."""
    card = card_of("mobilenetv2-imagenet")
    assert sum(one.numel() for one in build(card.architecture).parameters()) == 2_223_872
    assert card.parameters_m == 2.223872
