"""What can run an encoder's network, and what has to be installed for it. No torch."""

from importlib.util import find_spec
from typing import Literal

from wsi.errors import UsageError

Backend = Literal["torch", "openvino", "onnxruntime"]
PACKAGES: dict[Backend, tuple[str, ...]] = {
    "torch": (),
    "openvino": ("openvino", "onnxscript"),
    "onnxruntime": ("onnxruntime", "onnxscript"),
}
"""What each needs beyond this tool's own requirements; pyproject.toml has an extra of the same name."""


def require_backend(name: Backend, *, device: str, precision: str) -> None:
    """Raise UsageError unless the back end is installed and runs on such a device in such a precision."""
    missing = [package for package in PACKAGES[name] if find_spec(package) is None]
    if missing:
        raise UsageError(
            f'--backend {name}: {" and ".join(missing)} not found; pip install "wsi-run[{name}]", or use --backend torch'
        )
    if name != "torch" and device not in ("auto", "cpu"):
        raise UsageError(f"--backend {name} runs on the CPU; use --device cpu, or --backend torch for {device}")
    if precision in {"openvino": ("fp16",), "onnxruntime": ("fp16", "bf16")}.get(name, ()):
        raise UsageError(f"--backend {name} doesn't run in {precision}; use --precision fp32 or auto")
