"""timm loads without what it can do without, and nothing else notices."""

import subprocess
import sys

import pytest

SCRIPT = """
import sys
import torch
{before}
from wsi.encode.light_timm import timm
print(*(name in sys.modules for name in ("torch._dynamo", "huggingface_hub")))
network = timm.create_model("resnet10t", num_classes=0).eval()
compiled = torch.compile(network, backend="eager")
import huggingface_hub
from torchvision.ops import roi_align
images = torch.rand(1, 3, 64, 64)
with torch.no_grad():
    print(torch.equal(compiled(images), network(images)), bool(huggingface_hub.HfApi))
print(roi_align(images, torch.tensor([[0.0, 0, 0, 9, 9]]), 4).shape[-1])
"""


@pytest.mark.parametrize(
    ("before", "loaded"),
    [
        ("import wsi.encode.light_timm; del sys.modules['wsi.encode.light_timm']", ["False", "False"]),
        ("import torch._dynamo, huggingface_hub", ["True", "True"]),
    ],
    ids=["loaded twice", "dynamo loaded before"],
)
def test_compiler_and_hub_load_only_when_they_are_wanted_and_work_then(before: str, loaded: list[str]) -> None:
    script = SCRIPT.format(before=before)
    ended = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == [*loaded, "True", "True", "4"]


def test_what_else_is_asked_of_the_compiler_comes_from_it() -> None:
    script = """
import sys
from wsi.encode.light_timm import _deferred
with _deferred():
    import torch._dynamo
    from torch._dynamo.utils import is_compile_supported, counters
    print(torch._dynamo.config.verbose, is_compile_supported("cpu"), type(counters).__name__)
print(sys.modules["torch._dynamo"].__file__.endswith("__init__.py"))
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["False", "True", "defaultdict", "True"]


def test_networks_are_built_without_the_compiler() -> None:
    script = """
import sys
from wsi.card import Architecture
from wsi.encode.build import build
for name in ("mobilenetv2_100", "resnet50", "vit_small_patch16_224"):
    build(Architecture(name=name))
    print("torch._dynamo" in sys.modules)
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["False"] * 3
