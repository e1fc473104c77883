"""The encoder around a network: batches, threads, precision and memory change nothing that they shouldn't."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tests.encode import tiny
from wsi.encode.build import Pooled
from wsi.encode.encoder import Encoder, largest_batch
from wsi.encode.identity import identify
from wsi.encode.load import load_encoder
from wsi.encode.torch_run import TorchRun
from wsi.errors import MemoryExceeded, ModelError

CPU = torch.device("cpu")
SHIPPED = "mobilenetv2-imagenet"


def encoder_of(network: nn.Module, *, threads: int = 1, dim: int = tiny.DIM, precision: str = "fp32") -> Encoder:
    card = tiny.card(dim=dim)
    identity = identify(card, weights_sha256="0" * 64, revision="", precision=precision)
    run = TorchRun(network, card.transform, device=CPU, precision=precision)
    return Encoder(run, identity, transform=card.transform, device=CPU, threads=threads)


def in_batches(encoder: Encoder, tiles: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
    return np.concatenate([encoder.encode(tiles[start : start + size]) for start in range(0, len(tiles), size)])


@pytest.fixture(scope="module")
def vit() -> nn.Module:
    return Pooled(tiny.with_random_weights(tiny.tiny_vit()), "cls+mean", prefix_tokens=1)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("batch", [1, 7, 32])
def test_features_dont_depend_on_batch_and_threads(batch: int, threads: int, vit: nn.Module) -> None:
    tiles = tiny.tiles(45)
    expected = encoder_of(vit, dim=64).encode(tiles)
    encoder = encoder_of(vit, threads=threads, dim=64)
    assert in_batches(encoder, tiles, batch).tobytes() == expected.tobytes()
    encoder.close()
    assert len(np.unique(expected, axis=0)) == 45


def test_features_of_the_shipped_encoder_dont_depend_on_batch_and_threads() -> None:
    tiles = tiny.tiles(5, side=224)
    one, two = (load_encoder(SHIPPED, device="cpu", threads=threads) for threads in (1, 2))
    expected = one.encode(tiles).tobytes()
    assert in_batches(one, tiles, 1).tobytes() == expected
    assert in_batches(two, tiles, 3).tobytes() == expected
    assert two.encode(tiles).tobytes() == expected


def test_features_are_those_of_the_plain_network(vit: nn.Module) -> None:
    tiles = tiny.tiles(5)
    mean, std = np.array([0.5, 0.4, 0.6]), np.array([0.2, 0.3, 0.25])
    images = torch.from_numpy(((tiles / 255 - mean) / std).transpose(0, 3, 1, 2).astype(np.float32))
    with torch.inference_mode():
        expected = vit(images).numpy()
    np.testing.assert_allclose(encoder_of(vit, dim=64).encode(tiles), expected, atol=1e-4)


def test_an_encoder_changes_the_threads_of_nobody_else(vit: nn.Module) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        encoder_of(vit, threads=2, dim=64).encode(tiny.tiles(9))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_no_tiles_are_no_features(vit: nn.Module) -> None:
    assert encoder_of(vit, dim=64).encode(tiny.tiles(0)).shape == (0, 64)


@pytest.mark.parametrize("tiles", [np.zeros((2, 31, 32, 3), np.uint8), np.zeros((2, 32, 32, 3), np.float32)])
def test_tiles_of_another_shape_or_type_are_refused(tiles: NDArray[np.uint8], vit: nn.Module) -> None:
    with pytest.raises(ValueError, match=r"expected \(B, 32, 32, 3\) uint8"):
        encoder_of(vit, dim=64).encode(tiles)


def test_another_width_than_the_cards_is_refused(vit: nn.Module) -> None:
    with pytest.raises(ModelError, match=r"shape \(1, 64\), its card says dim 63"):
        encoder_of(vit, dim=63).encode(tiny.tiles(1))


class Blind(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return torch.where(images.mean((2, 3)) > 0, torch.nan, 1.0)


def test_features_that_arent_finite_are_refused() -> None:
    with pytest.raises(ModelError, match="NaN or infinity at fp32; use --precision fp32"):
        encoder_of(Blind(), dim=3).encode(np.full((1, 32, 32, 3), 250, np.uint8))


@pytest.fixture(scope="module")
def drawn() -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Tiles, and their features in full precision."""
    tiles = tiny.tiles(4, side=224, seed=4)
    return tiles, load_encoder(SHIPPED, device="cpu", threads=1, precision="fp32").encode(tiles)


@pytest.mark.parametrize(("precision", "nearest"), [("bf16", 0.99), ("fp16", 0.9999)])
def test_lower_precision_is_near_and_says_so(
    precision: str, nearest: float, drawn: tuple[NDArray[np.uint8], NDArray[np.float32]]
) -> None:
    """bf16 keeps 8 bits of a number, and 52 narrow layers lose some of each: 0.993 at worst on these tiles."""
    tiles, full = drawn
    encoder = load_encoder(SHIPPED, device="cpu", threads=1, precision=precision)  # type: ignore[arg-type]
    low = encoder.encode(tiles)
    cosine = (low * full).sum(1) / np.linalg.norm(low, axis=1) / np.linalg.norm(full, axis=1)
    assert cosine.min() > nearest
    assert not np.array_equal(low, full)
    assert low.dtype == np.float32
    assert encoder.identity.precision == precision


def test_precision_is_full_where_half_of_it_changes_the_features() -> None:
    assert load_encoder(SHIPPED, device="cpu", threads=1).identity.precision == "fp32"


class Small(nn.Module):
    """A network that runs out of memory with more than `room` tiles, and sees each tile by itself."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room
        self.batches: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.batches.append(len(images))
        if len(images) > self.room:
            raise torch.OutOfMemoryError("out of memory")
        return images.double().amax((2, 3)).float()


def like_on_a_gpu(network: nn.Module, *, batch: int) -> Encoder:
    """Return an encoder that takes one batch at a time, as on a GPU, and runs here."""
    encoder = encoder_of(network, dim=3)
    encoder.close()
    encoder._pool, encoder._group = None, batch
    return encoder


@pytest.mark.parametrize("room", [16, 8, 5, 2, 1])
def test_out_of_memory_halves_the_batch_and_gives_the_same_features(
    room: int, caplog: pytest.LogCaptureFixture
) -> None:
    tiles = tiny.tiles(37)
    expected = like_on_a_gpu(Small(64), batch=16).encode(tiles)
    network = Small(room)
    encoder = like_on_a_gpu(network, batch=16)
    np.testing.assert_array_equal(encoder.encode(tiles), expected)
    failed = [size for size in network.batches if size > room]
    assert failed == [size for size in (16, 8, 4, 2) if size > room]
    assert encoder.batch_size == {16: 16, 8: 8, 5: 4, 2: 2, 1: 1}[room]
    assert sum("out of memory" in record.message for record in caplog.records) == len(failed)
    done = len(network.batches)
    encoder.encode(tiles[: encoder.batch_size])
    assert network.batches[done:] == [encoder.batch_size]


def test_not_even_one_tile_is_said() -> None:
    with pytest.raises(MemoryExceeded, match=r"tiny: not even one tile fits .* lower precision"):
        like_on_a_gpu(Small(0), batch=8).encode(tiny.tiles(3))


@pytest.mark.parametrize(
    ("room", "expected", "tried"),
    [
        (1000, 256, [16, 32, 64, 128, 256]),
        (256, 256, [16, 32, 64, 128, 256]),
        (100, 64, [16, 32, 64, 128]),
        (16, 16, [16, 32]),
        (5, 4, [16, 8, 4]),
        (1, 1, [16, 8, 4, 2, 1]),
        (0, 1, [16, 8, 4, 2, 1]),
    ],
)
def test_largest_batch_is_found_in_few_steps(room: int, expected: int, tried: list[int]) -> None:
    seen: list[int] = []

    def fits(size: int) -> bool:
        seen.append(size)
        return size <= room

    assert largest_batch(fits, start=16, most=256) == expected
    assert seen == tried


class Ones:
    precision = "fp32"

    def __call__(self, images: torch.Tensor) -> NDArray[np.float32]:
        return np.ones((len(images), tiny.DIM), np.float32)


@pytest.mark.parametrize("batch_size", [None, 5])
def test_a_device_that_tells_of_no_memory_gets_a_plain_batch(batch_size: int | None) -> None:
    card = tiny.card()
    identity = identify(card, weights_sha256="0" * 64, revision="", precision="fp32")
    nowhere = torch.device("meta")  # as mps, one that torch.cuda knows nothing of
    encoder = Encoder(Ones(), identity, transform=card.transform, device=nowhere, batch_size=batch_size)
    assert encoder.batch_size == (batch_size or 16)
    assert encoder.encode(tiny.tiles(18)).shape == (18, tiny.DIM)
