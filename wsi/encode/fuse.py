"""A network made ready for a CPU: norms folded into the convolutions before them, activations done where the sums are
made, weights laid out once as the kernels want them.

What follows what is seen by running the network, not guessed from its names. On processors for which MKL has no fast
path (AMD's) torch's own products take twice as long in float32, and norms and activations pass over memory once more
each. A feature differs by rounding alone, which is checked on drawn tiles (`SAME`).
"""

import copy
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

SAME = 1 - 1e-6
"""Least cosine between features of the network as it came and fused, in float32."""
_ACTIVATIONS: dict[type[nn.Module], Callable[[Any], tuple[str, list[float], str]]] = {
    nn.ReLU: lambda _: ("relu", [], ""),
    nn.ReLU6: lambda _: ("hardtanh", [0.0, 6.0], ""),
    nn.Hardtanh: lambda layer: ("hardtanh", [layer.min_val, layer.max_val], ""),
    nn.Hardswish: lambda _: ("hardswish", [], ""),
    nn.SiLU: lambda _: ("swish", [], ""),
    nn.GELU: lambda layer: ("gelu", [], layer.approximate),
}
"""What a kernel calls them: name, numbers, algorithm."""
_TIMMS = {"GELU": nn.GELU(), "GELUTanh": nn.GELU("tanh")}
"""Activations of timm's own, by the name of their class, and what they are."""
_NORMS = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm)
_PADS_ITSELF = "Conv2dSame"
"""timm's convolution that pads as TensorFlow does."""
_NORMS_AND_ACTS = "BatchNormAct2d"
"""timm's norm that holds an activation."""


@dataclass(slots=True)
class Layer:
    """A convolution or matrix product of a network, by name, and what its kernel does as well."""

    name: str
    shape: tuple[int, ...]
    """Of what it takes."""
    norm: str = ""
    activation: str = ""
    is_held: bool = False
    """Whether the activation is held by the norm."""


@dataclass(slots=True)
class _Made:
    """What a call of a module made: the tensor's version then, and how often anything was computed of it."""

    module: nn.Module
    version: int
    uses: int = 0


@dataclass(slots=True)
class _Calls:
    """Which modules a module's calls took their input from (None: from none of those that are looked at), and what they made."""

    shape: tuple[int, ...]
    sources: list[nn.Module | None] = field(default_factory=list)
    made: list[_Made] = field(default_factory=list)

    @property
    def is_used_once(self) -> bool:
        return all(one.uses == 1 for one in self.made)


class _Uses(TorchFunctionMode):
    """Counts what is computed of the tensors that modules made."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if any(isinstance(one, Tensor) for one in tree_leaves(found)):  # not a shape
            for taken in tree_leaves((args, kwargs)):
                if isinstance(taken, Tensor) and (made := getattr(taken, "made_by", None)) is not None:
                    made.uses += 1
        return found


def find_layers(network: nn.Module, images: Tensor) -> list[Layer]:
    """Return the layers that kernels can take over, in the order in which images `(B, 3, h, w)` reach them."""
    calls = _record(network, images)
    names = {module: name for name, module in network.named_modules()}
    after: dict[nn.Module, list[nn.Module]] = {}  # modules all of whose input is one module's output, each time it ran
    for module, found in calls.items():
        source = found.sources[0]
        if source is None or not calls[source].is_used_once:
            continue
        if found.sources == [source] * len(calls[source].sources):
            after.setdefault(source, []).append(module)
    layers = []
    for module, found in calls.items():
        if not _is_layer(module):
            continue
        layer, last = Layer(names[module], found.shape), module
        if isinstance(module, nn.Conv2d) and (norm := _next(after, module, _is_norm)) is not None:
            layer.norm, last = names[norm], norm
        held = getattr(last, "act", None) if layer.norm else None
        acting = held if _is_activation(held) else _next(after, last, _is_activation)
        if acting is not None and (held is None or acting is held):
            layer.activation, layer.is_held = names[acting], acting is held
        layers.append(layer)
    return layers


def _record(network: nn.Module, images: Tensor) -> dict[nn.Module, _Calls]:
    """Run a network once; return the calls of what can be fused, in their order."""
    calls: dict[nn.Module, _Calls] = {}

    def note(module: nn.Module, given: tuple[object, ...], made: object) -> None:
        taken = given[0] if given else None
        if not isinstance(taken, Tensor) or not isinstance(made, Tensor):
            return
        found = calls.setdefault(module, _Calls(tuple(taken.shape)))
        source = given_by.pop(module, None)
        found.sources.append(source)
        found.made.append(_Made(module, made._version))
        made.made_by = found.made[-1]  # type: ignore[attr-defined]

    def see(module: nn.Module, given: tuple[object, ...]) -> None:
        made = getattr(given[0], "made_by", None) if given else None
        if made is not None and made.version == given[0]._version:  # type: ignore[attr-defined]  # not `x += shortcut` since
            given_by[module] = made.module

    given_by: dict[nn.Module, nn.Module] = {}
    hooks = []
    for module in network.modules():
        if _is_layer(module) or _is_norm(module) or _is_activation(module):
            hooks += [module.register_forward_pre_hook(see), module.register_forward_hook(note)]
    try:
        with torch.no_grad(), _Uses():  # inference mode counts no versions
            network(images)
    finally:
        for hook in hooks:
            hook.remove()
    return calls


def _is_layer(module: nn.Module) -> bool:
    if type(module) is nn.Linear:
        return True
    is_plain = type(module) is nn.Conv2d and isinstance(module.padding, tuple) and module.padding_mode == "zeros"
    return is_plain or (isinstance(module, nn.Conv2d) and type(module).__name__ == _PADS_ITSELF)


def _is_norm(module: nn.Module) -> bool:
    if not isinstance(module, nn.BatchNorm2d) or module.running_mean is None:
        return False
    return type(module) is nn.BatchNorm2d or type(module).__name__ == _NORMS_AND_ACTS


def _is_activation(module: object) -> bool:
    return type(module) in _ACTIVATIONS or type(module).__name__ in _TIMMS


def _next(
    after: dict[nn.Module, list[nn.Module]], module: nn.Module, wanted: Callable[[nn.Module], bool]
) -> nn.Module | None:
    """Return the one module that takes what `module` makes, if it is wanted."""
    following = after.get(module, [])
    return following[0] if len(following) == 1 and wanted(following[0]) else None


def fuse(network: nn.Module, layers: Sequence[Layer], *, whole: int) -> nn.Module:
    """Return a copy of a network in evaluation mode whose layers are kernels.

    Args:
        layers: as `find_layers` gives them.
        whole: how many of the first layers compute in float32; the others do in bf16.

    Raises:
        RuntimeError: this processor or this torch has no such kernels.
    """
    fused = shared(network).eval()
    if whole == 0:
        halve(fused, but={layer.name for layer in layers})
    for number, layer in enumerate(layers):
        dtype = torch.float32 if number < whole else torch.bfloat16
        given = fused.get_submodule(layer.name)
        norm = fused.get_submodule(layer.norm) if layer.norm else None
        activation = fused.get_submodule(layer.activation) if layer.activation else None
        if isinstance(given, nn.Conv2d):
            kernel: nn.Module = _Convolution(given, layer, norm, activation, dtype)
        else:
            assert isinstance(given, nn.Linear)
            kernel = _Product(given, layer, activation, dtype)
        fused.set_submodule(layer.name, kernel)
        if activation is not None and not layer.is_held:
            fused.set_submodule(layer.activation, nn.Identity())
        if norm is not None:
            left = getattr(norm, "act", None)
            fused.set_submodule(layer.norm, nn.Identity() if left is None or layer.is_held else left)
    return fused


def halve(network: nn.Module, *, but: Collection[str] = ()) -> None:
    """Make a network's weights bf16, but for those of some modules and of norms, whose sums and offsets need all digits."""
    for name, module in network.named_modules():
        if not isinstance(module, _NORMS) and name not in but:
            for key, weight in module.named_parameters(recurse=False):
                setattr(module, key, nn.Parameter(weight.to(torch.bfloat16), requires_grad=False))


def shared(network: nn.Module) -> nn.Module:
    """Return a copy of a network whose tensors are those of the network."""
    tensors = chain(network.parameters(), network.buffers())
    return copy.deepcopy(network, {id(tensor): tensor for tensor in tensors})


class _Kernel(nn.Module):
    """What takes a layer's place: whoever asks for its sizes or for its weights' type and device is told."""

    def __init__(self, given: nn.Conv2d | nn.Linear) -> None:
        super().__init__()
        told = {name: value for name, value in vars(given).items() if isinstance(value, int | tuple | str)}
        self.__dict__.update({name: value for name, value in told.items() if name not in self.__dict__})
        self.register_buffer("weight", given.weight.detach().new_empty(0), persistent=False)


class _Convolution(_Kernel):
    """A convolution by oneDNN, with the norm and activation that follow it."""

    def __init__(
        self, given: nn.Conv2d, layer: Layer, norm: nn.Module | None, activation: nn.Module | None, dtype: torch.dtype
    ) -> None:
        super().__init__(given)
        weight, bias = given.weight, given.bias
        if norm is not None:
            assert isinstance(norm, nn.BatchNorm2d)
            assert norm.running_mean is not None
            assert norm.running_var is not None
            told = (norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias)
            weight, bias = fuse_conv_bn_weights(weight, bias, *told)
        weight, padding = weight.detach().to(dtype), [0, 0] if isinstance(given.padding, str) else [*given.padding]
        self._dtype = dtype
        self._size: tuple[int, ...] | None = None
        self._sides: list[int] = []
        if type(given).__name__ == _PADS_ITSELF:
            self._size = layer.shape[2:]
            (above, below), (left, right) = (_same(given, axis, self._size[axis]) for axis in (0, 1))
            if given.groups == given.in_channels and set(given.dilation) == {1}:
                # Zeros in a kernel of few weights cost less than another copy of the maps.
                weight, padding = pad(weight, (right - left, 0, below - above, 0)), [below, right]
            else:
                self._sides = [left, right, above, below]
        place = [padding, list(given.stride), list(given.dilation), given.groups]
        name, numbers, algorithm = _told(activation)
        weights = torch.ops.mkldnn._reorder_convolution_weight(weight, *place, [*layer.shape])
        offsets = None if bias is None else bias.detach().float()  # bf16 would cost more than the weights' rounding
        self._rest = (weights, offsets, *place, name, numbers, algorithm)

    def forward(self, images: Tensor) -> Tensor:
        if self._size is not None and images.shape[2:] != self._size:
            raise RuntimeError(f"kernels for maps of {self._size}, found {tuple(images.shape[2:])}")
        if any(self._sides):
            images = pad(images, self._sides)
        made: Tensor = torch.ops.mkldnn._convolution_pointwise(images.to(self._dtype), *self._rest)
        return made


class _Product(_Kernel):
    """A matrix product by oneDNN, with the activation that follows it."""

    def __init__(self, given: nn.Linear, layer: Layer, activation: nn.Module | None, dtype: torch.dtype) -> None:
        super().__init__(given)
        weight = given.weight.detach().to(dtype)
        offsets = None if (bias := given._parameters["bias"]) is None else bias.detach().to(dtype)
        name, numbers, algorithm = _told(activation)
        weights = torch.ops.mkldnn._reorder_linear_weight(weight, math.prod(layer.shape[:-1]))
        self._dtype = dtype
        self._rest = (weights, offsets, name, numbers, algorithm)

    def forward(self, tokens: Tensor) -> Tensor:
        made: Tensor = torch.ops.mkldnn._linear_pointwise(tokens.to(self._dtype), *self._rest)
        return made


def _told(activation: nn.Module | None) -> tuple[str, list[float], str]:
    """Return what a kernel calls an activation."""
    if activation is None:
        return "none", [], ""
    known = activation if type(activation) in _ACTIVATIONS else _TIMMS[type(activation).__name__]
    return _ACTIVATIONS[type(known)](known)


def _same(given: nn.Conv2d, axis: int, size: int) -> tuple[int, int]:
    """Return how many zeros TensorFlow puts before and after a map's axis: as many as the last window lacks, half before."""
    stride = given.stride[axis]
    reach = (given.kernel_size[axis] - 1) * given.dilation[axis] + 1
    lacking = max(0, (-(-size // stride) - 1) * stride + reach - size)
    return lacking // 2, lacking - lacking // 2
