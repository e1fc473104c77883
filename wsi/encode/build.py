"""A timm network from a card, with no weights in it yet.

timm never gets to download, to unpickle or to run anything: names are those it registers itself, arguments
come from a closed list, and `pretrained` stays off.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from wsi.card import Architecture, EncoderCard, EncoderInput, Licence, Transform, Weights
from wsi.encode.light_timm import SwiGLUPacked, timm
from wsi.encode.sources import require_timm
from wsi.errors import ModelError, did_you_mean

ARGUMENTS = (
    "act_layer",
    "class_token",
    "depth",
    "dynamic_img_size",
    "embed_dim",
    "global_pool",
    "img_size",
    "init_values",
    "mlp_layer",
    "mlp_ratio",
    "no_embed_class",
    "num_heads",
    "pad_type",
    "patch_size",
    "pre_norm",
    "qkv_bias",
    "reg_tokens",
)
LAYERS: dict[str, Any] = {"SwiGLUPacked": SwiGLUPacked, "SiLU": nn.SiLU, "GELU": nn.GELU}
PLACEHOLDER_MPP = 0.5
"""µm per px for timm:NAME, whose publishers saw no slides; --mpp says otherwise."""


Turn = tuple[int, bool]
"""Quarters of a turn, and whether the image is mirrored before."""
TURNS: tuple[Turn, ...] = tuple((quarters, is_mirrored) for is_mirrored in (False, True) for quarters in range(4))
"""Every view of a square; the first is the image as it is."""
LEAST_VARIANCE = 1e-12
"""A root's slope has no end at 0."""
STARTS = {"add_", "clamp_", "erfinv_", "mul_", "normal_", "uniform_"}
"""What weights are drawn by."""


class Undrawn(TorchFunctionMode):
    """Draws no weights on the meta device, where they go nowhere, and where torch loads its compiler for them."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = kwargs or {}
        if func.__name__ in STARTS:
            weights = args[0] if args else named["tensor"]  # by name to torch.nn.init
            if weights.is_meta:
                return weights
        return func(*args, **named)


def turned(images: Tensor, turn: Turn) -> Tensor:
    """Return images `(..., h, w)` mirrored, then turned."""
    quarters, is_mirrored = turn
    return torch.rot90(images.flip(-1) if is_mirrored else images, quarters, (-2, -1))


def turned_back(images: Tensor, turn: Turn) -> Tensor:
    """Return images as they were before `turned`."""
    quarters, is_mirrored = turn
    found = torch.rot90(images, -quarters, (-2, -1))
    return found.flip(-1) if is_mirrored else found


def summary(maps: Tensor) -> Tensor:
    """Return each channel's mean over `(B, C, h, w)`, its standard deviation, and the middle's mean, `(B, 3 C)`."""
    maps = maps.float()
    height, width = (side // 4 for side in maps.shape[2:])
    middle = maps[:, :, height : maps.shape[2] - height, width : maps.shape[3] - width]
    variance = maps.var(dim=(2, 3), correction=0).clamp(min=LEAST_VARIANCE)
    return torch.cat([maps.mean(dim=(2, 3)), variance.sqrt(), middle.mean(dim=(2, 3))], dim=1)


class Pooled(nn.Module):
    """A network and what becomes of its tokens: `(B, 3, h, w)` in, `(B, D)` out.

    Raises:
        ModelError: the network doesn't tell what `pooling` needs.
    """

    def __init__(self, network: nn.Module, pooling: str, *, prefix_tokens: int, turns: bool = False) -> None:
        super().__init__()
        if pooling == "layers" and not hasattr(network, "forward_intermediates"):
            raise ModelError(f"{type(network).__name__} tells of no layers, which pooling: layers needs")
        self.network = network
        self.pooling = pooling
        self.prefix_tokens = prefix_tokens
        self.turns = turns

    def forward(self, images: Tensor) -> Tensor:
        if self.training or not self.turns:
            return self.pooled(images)
        return torch.stack([self.pooled(turned(images, turn)) for turn in TURNS]).mean(dim=0)

    def pooled(self, images: Tensor) -> Tensor:
        """Return what the network says of images as they are, `(B, D)`."""
        if self.pooling == "model":
            pooled: Tensor = self.network(images)  # (B, D)
            return pooled
        if self.pooling == "layers":
            return torch.cat([summary(one) for one in self._maps(images)], dim=1)
        tokens: Tensor = self.network.forward_features(images)  # type: ignore[operator]  # (B, T, D)
        class_token, mean = tokens[:, 0], tokens[:, self.prefix_tokens :].mean(dim=1)  # (B, D) each
        return {"cls": class_token, "mean": mean, "cls+mean": torch.cat([class_token, mean], dim=1)}[self.pooling]

    def layer_widths(self, images: Tensor) -> tuple[int, ...]:
        """Return how many of its numbers each layer gives, where they are of layers."""
        return tuple(3 * one.shape[1] for one in self._maps(images))

    def _maps(self, images: Tensor) -> list[Tensor]:
        """Return each layer's maps `(B, C, h, w)`; the last one's where it is none of them and no tokens."""
        last, maps = self.network.forward_intermediates(images)  # type: ignore[operator]
        is_map = last.ndim == 4 and last.shape[1] == getattr(self.network, "num_features", None)
        return [*maps, last] if is_map and last is not maps[-1] else list(maps)


def build(architecture: Architecture) -> nn.Module:
    """Return the network without memory behind its parameters (on the meta device), in evaluation mode.

    A network that computes tensors which no weights file holds is built in memory instead.

    Raises:
        ModelError: timm doesn't know the name, or an argument isn't in the closed list.
    """
    require_timm(architecture)
    if not timm.is_model(architecture.name):
        hint = did_you_mean(architecture.name, timm.list_models())
        raise ModelError(f"{architecture.name!r} is no network of timm {timm.__version__}.{hint}")
    arguments = {key: _argument(key, value) for key, value in architecture.arguments.items()}
    with _explained(architecture), torch.device("meta"), Undrawn():
        network = timm.create_model(architecture.name, pretrained=False, num_classes=0, **arguments)
    if {name for name, _ in network.named_buffers()} - set(network.state_dict()):
        network = timm.create_model(architecture.name, pretrained=False, num_classes=0, **arguments)
    return network.eval()


def _argument(key: str, value: object) -> Any:
    if key not in ARGUMENTS:
        raise ModelError(f"argument {key!r} of the architecture is not allowed.{did_you_mean(key, ARGUMENTS)}")
    if not key.endswith("_layer"):
        return value
    if value not in LAYERS:
        raise ModelError(f"{key}: {value!r} is not one of {', '.join(LAYERS)}")
    return LAYERS[str(value)]


@contextlib.contextmanager
def _explained(architecture: Architecture) -> Iterator[None]:
    try:
        yield
    except (TypeError, ValueError, AssertionError, ArithmeticError, RuntimeError) as error:
        raise ModelError(f"{architecture.name}: timm {timm.__version__} can't build it ({error})") from error


def classifier_prefixes(network: nn.Module) -> tuple[str, ...]:
    """Return the first parts of the names of a classifier's tensors, which an encoder has no use for."""
    named = (getattr(network, "pretrained_cfg", None) or {}).get("classifier") or ()
    return tuple(f"{name}." for name in ((named,) if isinstance(named, str) else named))


def output_dim(network: nn.Module, *, side_px: int) -> int:
    """Return D for inputs of `side_px`, without computing anything."""
    device = next(network.parameters()).device
    with torch.inference_mode():
        return int(network(torch.zeros(1, 3, side_px, side_px, device=device)).shape[-1])


def describe(name: str) -> EncoderCard:
    """Return a card for `timm:NAME` from what timm says of its own network.

    Raises:
        ModelError: timm doesn't know it, or it takes no images of three channels.
    """
    architecture = Architecture(name=name)
    network = build(architecture)
    known = timm.get_pretrained_cfg(name)
    if known is None or known.input_size[0] != 3:
        raise ModelError(f"timm:{name}: timm doesn't say how images are given to it; describe it in a model.yaml")
    side_px = known.input_size[-1]
    with _explained(architecture):
        dim = output_dim(network, side_px=side_px)
    return EncoderCard(
        kind="encoder",
        id=f"timm:{name}",
        title=f"{name}, as timm builds it",
        licence=Licence(weights=known.license or "unknown"),
        architecture=architecture,
        weights=Weights(hub=known.hf_hub_id),
        input=EncoderInput(tile_px=side_px, mpp=PLACEHOLDER_MPP),
        transform=Transform.model_validate({"mean": known.mean, "std": known.std}),
        pooling="model",
        dim=dim,
    )
