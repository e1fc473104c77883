"""Explaining a whole model of pictures: on the picture's own px, by every method, and never by the picture alone."""

import numpy as np
import pytest
import timm
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wsi.card import Head as CardHead
from wsi.card import ModelCard, Transform
from wsi.encode.build import Pooled
from wsi.errors import ModelError, UsageError
from wsi.field import Field, picture_field
from wsi.mil import Head, HeadSpec, class_probabilities, cumulative_logits, make_head
from wsi.predict.explain import METHODS, ExplainedModel, Method, explain
from wsi.predict.explain.explained import class_score, grade_log_odds
from wsi.predict.explain.grad_cam import LEAST_SIDE, MOST_STRIDE, map_layer, signed_cam


class Reds(nn.Module):
    """An encoder of two numbers: the mean of what is red, and of what is blue, in 8 x 8 places."""

    feature_info = ({"module": "places"},)

    def __init__(self) -> None:
        super().__init__()
        self.places = nn.Conv2d(3, 2, 4, stride=4, bias=False)
        with torch.no_grad():
            self.places.weight.zero_()
            self.places.weight[0, 0] = self.places.weight[1, 2] = 1 / 16

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.places(images).mean(dim=(2, 3))
        return found


def card(**more: object) -> ModelCard:
    told: dict[str, object] = {
        "kind": "model",
        "id": "reds",
        "version": "1",
        "title": "Red or blue",
        "licence": {"weights": "CC0-1.0"},
        "use": {"purpose": "tests", "not_for": [], "status": "research use only"},
        "input": {
            "axes": 2,
            "channels": ["R", "G", "B"],
            "preprocess": [
                {"op": "crop-border@1", "share": 0.25},
                {"op": "resize@1", "px": [32, 32], "side": "exact"},
            ],
            "window": [32, 32],
        },
        "encoder": {"name": "./encoder", "sha256": "0" * 64},
        "head": {
            "type": "binary",
            "aggregate": "mean",
            "activation": "identity",
            "classes": [{"name": "blue", "color": [0, 0, 255]}, {"name": "red", "color": [255, 0, 0]}],
        },
        "weights_sha256": "0" * 64,
        "evaluation": [{"name": "none", "metric": "AUC", "value": 0.5}],
        "training": {
            "data": [], "data_licences": [], "data_digest": "", "split_digest": "", "seed": 0, "versions": {}, "script": ""
        },
        "selftest": {"file": "selftest.safetensors", "probability": [0.5, 0.5]},
    }  # fmt: skip
    return ModelCard.model_validate({**told, **more})


def head() -> Head:
    """Return log odds of red: 3 red - 2 blue."""
    made = make_head(HeadSpec("mean", "binary", 2, hidden=1, activation="identity"), 2)
    with torch.no_grad():
        made.embed.weight.copy_(torch.tensor([[3.0, -2.0]]))
        made.embed.bias.zero_()
        made.get_parameter("classifier.weight").fill_(1.0)
        made.get_parameter("classifier.bias").zero_()
    return made.eval().requires_grad_(requires_grad=False)


def reds(*members: Head) -> ExplainedModel:
    """Return the model of all this, whose vote is that of `members`."""
    told = card()
    plain = Transform(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    return ExplainedModel(told, Reds().eval().requires_grad_(requires_grad=False), plain, {"": (told.head, members)})


@pytest.fixture
def model() -> ExplainedModel:
    return reds(head())


def picture() -> tuple[Field, NDArray[np.bool_], NDArray[np.bool_]]:
    """Return a picture 96 x 128 with a red and a blue square inside the border that is cut off, and where they lie."""
    values = np.full((3, 96, 128), 30, np.uint8)
    red, blue = np.zeros((96, 128), bool), np.zeros((96, 128), bool)
    red[30:42, 40:56], blue[56:68, 72:88] = True, True
    values[0, red], values[2, blue] = 250, 250
    return picture_field(values, ("R", "G", "B")), red, blue


@pytest.mark.parametrize("method", [one for one in METHODS if one != "attention"])
def test_heat_lies_on_the_red_square_in_px_of_the_picture_as_it_was_read(model: ExplainedModel, method: Method) -> None:
    field, red, _ = picture()
    heat = explain(model, field, method=method)
    assert heat.shape == field.shape
    assert heat.channels == ("heat",)
    assert np.array_equal(heat.affine, field.affine)
    assert red.ravel()[int(heat.values[0].argmax())]


class Upright(Reds):
    """The same of pictures of 40 px alone, as a transformer whose positions are counted."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert images.shape[2:] == (40, 40)
        return super().forward(images)


@pytest.mark.parametrize("method", METHODS)
def test_an_encoder_that_resizes_and_crops_is_explained_by_what_it_sees(method: Method) -> None:
    field, red, _ = picture()
    fitted = Transform(resize_px=48, crop_px=40, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    seen = ExplainedModel(card(), Upright().eval().requires_grad_(requires_grad=False), fitted, reds(head()).heads)
    heat = explain(seen, field, method=method).values[0]
    assert method == "attention" or red.ravel()[int(heat.argmax())]
    assert method == "attention" or not heat[:26].any(), "the card cuts off 24 rows, the encoder 4 more"


@pytest.mark.parametrize("method", ["signed-cam", "integrated-gradients", "occlusion"])
def test_what_speaks_against_is_below_zero_and_of_the_other_class_above(model: ExplainedModel, method: Method) -> None:
    field, red, blue = picture()
    heat = explain(model, field, method=method).values[0]
    assert blue.ravel()[int(heat.argmin())]
    assert heat[blue].mean() < 0 < heat[red].mean()
    other = explain(model, field, method=method, to="blue").values[0]
    assert np.allclose(other, -heat, atol=1e-5)


def test_what_preprocessing_cut_off_is_zero(model: ExplainedModel) -> None:
    heat = explain(model, picture()[0], method="integrated-gradients").values[0]
    outside = np.ones(heat.shape, bool)
    outside[22:74, 30:98] = False
    assert not heat[outside].any()


def test_attention_of_equal_windows_is_shared_evenly(model: ExplainedModel) -> None:
    told = card(input={"axes": 2, "channels": ["R", "G", "B"], "window": [32, 32]})
    wide = ExplainedModel(told, model.network, model.transform, model.heads)
    heat = explain(wide, picture()[0], method="attention").values[0]
    assert np.allclose(heat, 1 / 12), "3 x 4 windows"


@pytest.mark.parametrize("method", ["signed-cam", "integrated-gradients", "occlusion"])
def test_a_model_that_reads_turned_views_is_explained_by_the_mean_of_their_maps(method: Method) -> None:
    """Its network sees red on the left only; a turned view shows it what lies on the right."""

    class Left(Reds):
        def forward(self, images: Tensor) -> Tensor:
            half = torch.arange(images.shape[3]) < images.shape[3] // 2
            return super().forward(images * half)

    one = reds(head())
    network = Pooled(Left(), "model", prefix_tokens=0, turns=True).eval().requires_grad_(requires_grad=False)
    seen = ExplainedModel(one.card, network, one.transform, one.heads)
    field = picture()[0]
    heat = explain(seen, field, method=method).values[0]
    mirrored = field.with_values(np.ascontiguousarray(field.values[:, :, ::-1]))
    assert np.allclose(explain(seen, mirrored, method=method).values[0], heat[:, ::-1], atol=1e-6)
    blind = ExplainedModel(one.card, Pooled(Left(), "model", prefix_tokens=0).eval(), one.transform, one.heads)
    alone = explain(blind, field, method=method).values[0]
    assert np.abs(alone - heat).max() > 0.3 * np.abs(heat).max()


def test_windows_are_explained_one_by_one_and_stitched(model: ExplainedModel) -> None:
    told = card(input={"axes": 2, "channels": ["R", "G", "B"], "window": [32, 32], "overlap": 0.5})
    wide = ExplainedModel(told, model.network, model.transform, model.heads)
    field, red, blue = picture()
    heat = explain(wide, field, method="signed-cam").values[0]
    assert heat[red].mean() > 5 * abs(heat[~(red | blue)].mean())
    assert heat[blue].mean() < 0


def test_unknown_methods_heads_and_classes_are_named(model: ExplainedModel) -> None:
    field = picture()[0]
    with pytest.raises(UsageError, match=r"no method 'gradcam'.*Did you mean 'grad-cam'"):
        explain(model, field, method="gradcam")
    with pytest.raises(UsageError, match="no head 'edema'"):
        explain(model, field, head="edema")
    with pytest.raises(ModelError, match="no class 'green'; the model knows blue, red"):
        explain(model, field, to="green")
    slides = card(input={"tile_px": 224, "mpp": 1.0})
    with pytest.raises(ModelError, match="reads no pictures"):
        explain(ExplainedModel(slides, model.network, model.transform, model.heads), field)


def several(kind: str, count: int, **more: object) -> CardHead:
    classes = [{"name": str(k), "color": [0, 0, k]} for k in range(count)]
    told = {"file": "s.safetensors", "probability": [1 / count] * count}
    return card(head={"type": kind, "classes": classes, **more}, selftest=told).head


def test_several_classes_are_explained_by_their_own_logit() -> None:
    logits = torch.tensor([[2.0, 1.0, -3.0]])
    assert class_score(logits, several("multiclass", 3)).tolist() == [-3.0]
    assert class_score(logits, several("multiclass", 3), to="1").tolist() == [1.0]


@pytest.mark.parametrize("link", ["cumulative", "corn"])
def test_ordered_grades_are_explained_by_all_cuts_or_by_the_log_odds_of_one(link: str) -> None:
    logits = torch.tensor([[2.0, 1.0, -3.0], [0.5, 0.5, 0.4]], dtype=torch.float64)
    told = several("ordinal", 4, link=link)
    above = cumulative_logits(logits) if link == "corn" else logits
    assert class_score(logits, told).tolist() == above.mean(dim=1).tolist()
    assert told.speaks_for == "a higher grade"
    p = class_probabilities(above, "ordinal")
    for grade in range(4):
        wanted = torch.log(p[:, grade]) - torch.log1p(-p[:, grade])
        found = class_score(logits, told, to=str(grade))
        assert torch.allclose(found.clamp(min=-12), wanted.clamp(min=-12), atol=1e-6), grade


def test_grade_that_is_all_but_sure_or_impossible_still_has_a_gradient() -> None:
    above = torch.tensor([[60.0, -60.0], [60.0, 59.0], [-59.0, -60.0]], requires_grad=True)
    grade_log_odds(above, 1).sum().backward()
    assert above.grad is not None
    assert torch.isfinite(above.grad).all()
    assert (above.grad.abs().sum(dim=1) > 0.5).all()


def test_dark_surround_of_a_round_field_of_view_says_nothing(model: ExplainedModel) -> None:
    """The network sees the whole square; what it makes of the black corners isn't drawn."""
    values = np.zeros((3, 96, 96), np.uint8)
    rows, columns = np.mgrid[:96, :96]
    round_view = np.hypot(rows - 47.5, columns - 47.5) < 46
    values[:, round_view] = 90
    values[0, round_view] = 160
    told = card(input={"axes": 2, "channels": ["R", "G", "B"], "window": [32, 32], "preprocess": [
        {"op": "resize@1", "px": [32, 32], "side": "exact"}, {"op": "invert@1"}]})  # fmt: skip
    inverted = ExplainedModel(told, model.network, model.transform, model.heads)
    heat = explain(inverted, picture_field(values, ("R", "G", "B"))).values[0]
    assert not heat[np.hypot(rows - 47.5, columns - 47.5) > 48].any()
    assert heat[40:56, 40:56].all()


def test_weights_shuffled_layer_by_layer_give_another_map() -> None:
    """Adebayo et al. 2018: an explanation that stays when the model is gone explains the picture, not the model."""
    torch.manual_seed(0)
    network = timm.create_model("mobilenetv2_100", pretrained=False, num_classes=0).eval()
    w = torch.randn(1280)
    rng = np.random.default_rng(1)
    image = torch.from_numpy(rng.standard_normal((1, 3, 96, 96)).astype(np.float32))

    def maps() -> NDArray[np.float64]:
        return signed_cam(lambda x: network(x) @ w, network, image)[0].double().numpy()

    whole = maps()
    told = []
    for name in ("conv_head", "blocks.6", "blocks.5"):
        module = dict(network.named_modules())[name]
        with torch.no_grad():
            for weight in module.parameters():
                weight.copy_(weight.flatten()[torch.randperm(weight.numel())].reshape(weight.shape))
        told.append(abs(float(np.corrcoef(whole.ravel(), maps().ravel())[0, 1])))
    assert max(told) < 0.8, told


def test_the_map_is_of_the_deepest_layer_with_enough_places() -> None:
    network = timm.create_model("mobilenetv2_100", pretrained=False, num_classes=0).eval()
    sizes = {side: map_layer(network, torch.zeros(1, 3, side, side)) for side in (224, 112, 56)}
    assert (LEAST_SIDE, MOST_STRIDE) == (7, 16)
    assert sizes[224].startswith("blocks.4"), "stride 16, 14 places"
    assert sizes[112].startswith("blocks.4"), "stride 16, 7 places"
    assert sizes[56].startswith("blocks.2"), "stride 8, 7 places"


def test_the_map_that_is_pooled_adds_up_to_the_score_of_an_efficient_network() -> None:
    """Its last convolution is no such map: normalization and bend come after it."""
    torch.manual_seed(0)
    network = timm.create_model("mobilenetv2_100", pretrained=False, num_classes=0).eval()
    w, image = torch.randn(1280), torch.randn(1, 3, 96, 96)
    heat = signed_cam(lambda x: network(x) @ w, network, image, layer="bn2")
    with torch.inference_mode():
        wanted = network(image) @ w
    assert float(heat.mean()) * 9 == pytest.approx(float(wanted), rel=1e-3)
