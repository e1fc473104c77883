"""Load model folders made to exhaust memory, in a process of its own; print what became of them as JSON."""

import hashlib
import json
import resource
import struct
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from tests.predict import folders
from wsi.errors import WsiError
from wsi.predict.model import load_model
from wsi.predict.weights import MAX_BYTES


def names() -> bytes:
    """Return a file of as many empty tensors as a header of 15 MB can name."""
    about = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    text = json.dumps({f"t{i}": about for i in range(220_000)}).encode()
    return struct.pack("<Q", len(text)) + text


def main(folder: Path) -> None:
    folders.write_folder(folder, folders.tensors(), folders.card())
    load_model(folder)
    card, weights = (folder / "model.yaml").read_text(), folder / "weights.safetensors"
    honest = hashlib.sha256(weights.read_bytes()).hexdigest()
    wide = np.zeros((4, (MAX_BYTES - 4096) // 16), np.float32)
    made = {
        "shape": save({**folders.tensors(), "embed.weight": wide}),
        "names": names(),
        "header": struct.pack("<Q", 60 << 20) + b"{" + b" " * (60 << 20),
        "size": b"",
    }
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused = {}
    for name in list(made):
        content = made.pop(name)
        weights.write_bytes(content)
        if name == "size":
            with weights.open("rb+") as file:
                file.truncate(1 << 36)
        (folder / "model.yaml").write_text(card.replace(honest, hashlib.sha256(content).hexdigest()))
        del content
        try:
            load_model(folder)
        except WsiError as error:
            refused[name] = error.code
    extra = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * (1 if sys.platform == "darwin" else 1024)
    sys.stdout.write(json.dumps({"refused": refused, "extra_bytes": extra}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
