"""Half the precision where nobody notices: on processors that have it, for networks that keep their features."""

import copy

import numpy as np
import pytest
import timm
import torch
from torch import nn

from tests.encode import tiny
from wsi.encode import precision
from wsi.encode.precision import choose_precision, cpu_has_bf16, draw_probes, in_bf16, likeness
from wsi.encode.torch_run import TorchRun
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


def test_network_that_keeps_its_features_runs_in_bf16(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "cpu_has_bf16", lambda: True)
    assert choose_precision(network, tiny.card(), CPU) == "bf16"


def test_network_that_loses_them_runs_in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "cpu_has_bf16", lambda: True)
    torch.manual_seed(0)
    assert likeness(Fragile(), tiny.card().transform, 32) < 0.99
    assert choose_precision(Fragile(), tiny.card(), CPU) == "fp32"


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


def test_network_that_mixes_types_runs_in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "cpu_has_bf16", lambda: True)
    assert choose_precision(Mixed(), tiny.card(), CPU) == "fp32"


def test_network_that_mixes_types_says_so_where_bf16_was_asked_for() -> None:
    run = TorchRun(Mixed(), tiny.card().transform, device=CPU, precision="bf16")
    with pytest.raises(ModelError, match=r"doesn't run in bf16 on a CPU \(.*\); use --precision fp32"):
        run(torch.zeros(4, 3, 32, 32))


def test_processor_without_bf16_runs_in_fp32(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "cpu_has_bf16", lambda: False)
    assert choose_precision(network, tiny.card(), CPU) == "fp32"


def test_gpu_runs_in_what_the_publishers_run_it_in() -> None:
    card = tiny.card().model_copy(update={"precision": "fp16"})
    assert choose_precision(nn.Identity(), card, torch.device("cuda")) == "fp16"


def test_norms_keep_all_their_digits_and_the_rest_half(network: nn.Module) -> None:
    before = copy.deepcopy(network.state_dict())
    half = in_bf16(network)
    kinds = {name: value.dtype for name, value in half.state_dict().items()}
    assert kinds["conv1.weight"] == torch.bfloat16
    assert kinds["bn1.weight"] == kinds["bn1.running_var"] == torch.float32
    assert torch.equal(half.state_dict()["bn1.weight"], before["bn1.weight"])
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


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
