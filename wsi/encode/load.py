"""An encoder by name, ready to run."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from wsi import registry
from wsi.card import EncoderCard
from wsi.encode.backends import Backend, require_backend
from wsi.encode.device import find_device
from wsi.encode.encoder import Encoder, Run
from wsi.encode.graph import open_graph
from wsi.encode.graph_run import run_graph
from wsi.encode.identity import identify, retiled
from wsi.encode.sources import Weights, find_weights, require_timm
from wsi.encode.timm_card import timm_card
from wsi.encode.torch_run import run_torch
from wsi.errors import ModelError
from wsi.model_folder import encoder_card, find_folder
from wsi.resources import cores

PLUGINS = "wsi.encoders"
TIMM = "timm:"
Precision = Literal["auto", "fp32", "bf16", "fp16"]


@dataclass(frozen=True, slots=True)
class Found:
    """An encoder's card and the sha256 and revision of its weights; its network is made when it is needed.

    is_known: card and weights say all that the network computes. A plug-in's code may be any.
    """

    card: EncoderCard
    sha256: str
    revision: str
    network: Callable[[], nn.Module]
    is_known: bool


def load_encoder(
    name: str,
    *,
    weights: Path | None = None,
    backend: Backend = "torch",
    device: str = "auto",
    precision: Precision = "auto",
    threads: int | None = None,
    batch_size: int | None = None,
    tile_px: int | None = None,
    mpp: float | None = None,
    fused: bool = True,
) -> Encoder:
    """Return the encoder `name`, its weights checked and loaded.

    Args:
        name: an encoder of the catalog, a folder with a model.yaml, timm:NAME, or a plug-in
            (see `plugin_encoder`).
        weights: a .safetensors file, or a folder with one; None takes those shipped or fetched.
        backend: what runs the network; all but torch run on the CPU alone.
        device: auto (a GPU when there is one), cpu, cuda, cuda:1, mps.
        precision: auto is what the card says on a GPU; on a CPU bf16, in all layers or after the first, where it
            has that and the features stay the same (see `wsi.encode.precision`), else fp32.
        threads: CPU threads; None takes all cores.
        batch_size: tiles that a GPU takes at once; None finds it. A CPU's results and groups don't depend on it.
        tile_px: size of the tiles when it isn't the card's; they are resized to what the network expects.
        mpp: µm per px of the tiles when it isn't the card's.
        fused: whether torch may run it on a CPU with norms and activations done by the layers before them, where that
            gives the same features but for rounding (see `wsi.encode.fuse`).

    Raises:
        ModelError: no such encoder, or one that can't be built here.
        WeightsError: its weights are missing, damaged or of another network.
        UsageError: the device or the back end isn't there, or doesn't run in this precision.
    """
    require_backend(backend, device=device, precision=precision)
    at = find_device(device) if backend == "torch" else torch.device("cpu")
    threads = threads or cores()
    found = find_encoder(name, weights)
    card = retiled(found.card, tile_px=tile_px, mpp=mpp)
    known = partial(identify, card, weights_sha256=found.sha256, revision=found.revision, backend=backend)
    run: Run
    if backend == "torch":
        run = run_torch(found.network(), card, device=at, precision=precision, fused=fused)
    else:
        whole = known(precision="fp32")
        with open_graph(whole, card.transform, found.network, keep=found.is_known) as graph:
            run = run_graph(graph, card, backend, precision=precision, threads=threads)
    identity = known(precision=run.precision)
    return Encoder(run, identity, transform=card.transform, device=at, threads=threads, batch_size=batch_size)


def load_network(name: str, weights: Path | None) -> tuple[EncoderCard, nn.Module, str, str]:
    """Return an encoder's card, the network with its weights, and their sha256 and revision; errors as `load_encoder`."""
    found = find_encoder(name, weights)
    return found.card, found.network(), found.sha256, found.revision


def find_encoder(name: str, weights: Path | None) -> Found:
    """Return what is known of an encoder before its network is made; errors as `load_encoder`."""
    if name.startswith(TIMM):
        return _from_card(timm_card(name.removeprefix(TIMM)), None, weights)
    plugins = registry.plugins(PLUGINS)
    try:
        folder = find_folder(name, "encoder")
    except ModelError:
        if name not in plugins:
            raise
        card, network, digest, revision = plugin_encoder(name, weights)
        return Found(card, digest, revision, lambda: network, is_known=False)
    return _from_card(encoder_card(folder), folder, weights)


def _from_card(card: EncoderCard, folder: Path | None, given: Path | None) -> Found:
    require_timm(card.architecture)
    found = find_weights(card, folder, given=given)
    return Found(card, found.sha256, found.revision, partial(_network, card, found), is_known=True)


def _network(card: EncoderCard, weights: Weights) -> nn.Module:
    """Return a card's network with its weights."""
    from wsi.encode.build import Pooled, build, classifier_prefixes  # timm takes seconds, and a graph needs none of it
    from wsi.encode.weights import load_weights

    network = build(card.architecture)
    load_weights(
        network,
        weights.path,
        keys=card.weights.keys,
        drop=classifier_prefixes(network),
        resample=card.weights.stored_px is not None,
    )
    return Pooled(network, card.pooling, prefix_tokens=card.prefix_tokens, turns=card.turns)


def plugin_encoder(name: str, weights: Path | None) -> tuple[EncoderCard, nn.Module, str, str]:
    """Return what the entry point `name` of wsi.encoders makes.

    It names a function of one argument, the weights that the user gave or None, that returns a card and a
    network from `(B, 3, h, w)` float32 to `(B, dim)`. Tiles, precision, batches and checks are this tool's.

    Raises:
        ModelError: the function returned something else.
    """
    make = registry.load(PLUGINS, name)
    made = make(weights) if callable(make) else None
    match made:
        case (EncoderCard() as card, nn.Module() as network):
            return card, network.eval(), _state_digest(network), card.weights.revision or ""
    raise ModelError(f"plug-in {name!r}: expected a function that returns an EncoderCard and a torch module")


def _state_digest(network: nn.Module) -> str:
    """Return a sha256 over the names and values of a network that came without a file."""
    digest = hashlib.sha256()
    for key, tensor in sorted(network.state_dict().items()):
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
