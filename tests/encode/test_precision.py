"""Half the precision where nobody notices: on processors that have it, for networks that keep their features."""

import numpy as np
import pytest
import timm
import torch
from torch import nn

from tests.encode import tiny
from wsi.encode import precision, torch_run
from wsi.encode.precision import cpu_has_bf16, draw_probes
from wsi.encode.torch_run import run_torch
from wsi.errors import ModelError

CPU = torch.device("cpu")


class Fragile(nn.Module):
    """A network whose feature is the small difference of large numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(3, 8)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.mix(images.mean(dim=(2, 3)) + 1000) - self.mix(
            torch.full_like(images[:, :, 0, 0], 1000)
        )
        return found


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    made: nn.Module = timm.create_model("resnet18", num_classes=0)
    return made.eval()


@pytest.fixture(params=[True, False])
def fused(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def chosen(network: nn.Module, fused: bool = True, *, asked: str = "auto") -> str:
    card = tiny.card(pooling="model")
    return run_torch(network, card, device=CPU, precision=asked, fused=fused).precision


def test_network_that_keeps_its_features_runs_in_bf16(
    network: nn.Module, fused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_run, "cpu_has_bf16", lambda: True)
    assert chosen(network, fused) == "bf16"


def test_network_that_loses_them_runs_in_fp32(fused: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_run, "cpu_has_bf16", lambda: True)
    torch.manual_seed(0)
    assert chosen(Fragile(), fused) == "fp32"


@pytest.mark.parametrize(("before", "expected"), [(0, "bf16-after-1"), (3, "bf16-after-16"), (16, "fp32")])
def test_network_that_loses_them_in_its_first_layers_keeps_those_whole(
    before: int, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Late(nn.Module):
        """Fragile after a few layers, and a deep network after it."""

        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Sequential(*(nn.Conv2d(3, 3, 1) for _ in range(before)), Fragile())
            self.deep = nn.Sequential(*(nn.Linear(8, 8, bias=False) for _ in range(24)))
            for layer in self.deep.children():
                nn.init.orthogonal_(layer.get_parameter("weight"))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.deep(self.first(images))
            return found

    torch.manual_seed(0)
    network = Late()
    monkeypatch.setattr(torch_run, "cpu_has_bf16", lambda: True)
    assert chosen(network) == expected
    assert chosen(network, fused=False) == "fp32"
    monkeypatch.setattr(torch_run, "cpu_has_bf16", lambda: False)
    assert chosen(network) == "fp32"
    assert chosen(network, asked="bf16") == "bf16"


class Mixed(nn.Module):
    """A network that takes the mean of its training images off by itself, in float32: a plug-in's, or timm's swin."""

    mean: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((3, 1, 1), 0.1))
        self.see = nn.Conv2d(3, tiny.DIM, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.see(images - self.mean).mean(dim=(2, 3))
        return found


def test_network_that_mixes_types_runs_in_bf16_by_kernels_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_run, "cpu_has_bf16", lambda: True)
    assert chosen(Mixed()) == "bf16"
    assert chosen(Mixed(), fused=False) == "fp32"


def test_network_that_mixes_types_says_so_where_bf16_was_asked_for() -> None:
    run = run_torch(Mixed(), tiny.card(pooling="model"), device=CPU, precision="bf16", fused=False)
    with pytest.raises(ModelError, match=r"doesn't run in bf16 on a CPU \(.*\); use --precision fp32"):
        run(torch.zeros(4, 3, 32, 32))


def test_processor_without_bf16_runs_in_fp32(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_run, "cpu_has_bf16", lambda: False)
    assert chosen(network) == "fp32"


def test_gpu_runs_in_what_the_publishers_run_it_in() -> None:
    card = tiny.card().model_copy(update={"precision": "fp16"})
    assert run_torch(nn.Identity(), card, device=torch.device("meta"), precision="auto").precision == "fp16"


def test_probes_are_the_same_every_time_and_are_glass_and_stained_tissue() -> None:
    probes = draw_probes(64)
    assert np.array_equal(probes, draw_probes(64))
    assert probes.shape == (precision.PROBES, 64, 64, 3)
    assert (np.ptp(probes[:2], axis=(1, 2, 3)) == 0).all()
    red, green, blue = probes[2:].astype(float).mean(axis=(1, 2)).T
    assert (green < red).all()
    assert (green < blue).all()
    assert (np.diff(green) < 0).all()


def test_processor_is_asked() -> None:
    assert cpu_has_bf16() in (True, False)
