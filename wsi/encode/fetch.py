"""Download an encoder's weights from the hub: the only place of this tool that uses the network."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import GatedRepoError, HFValidationError, OfflineModeIsEnabled
from huggingface_hub.errors import HTTPError as ConnectionFailed  # type: ignore[attr-defined]

from wsi.encode.sources import CONVERT, PICKLES, SOURCE, WEIGHTS, fetched_folder
from wsi.errors import ModelError, WeightsError, WsiError
from wsi.model_folder import encoder_card, find_folder
from wsi.publish import publish, publishing, sha256_file


@dataclass(frozen=True, slots=True)
class _Wanted:
    name: str
    hub: str
    file: str | None
    revision: str | None
    sha256: str | None


def fetch(name: str, *, folder: Path | None = None, token: str | None = None) -> Path:
    """Download the weights of encoder `name` and return where they lie.

    The revision is pinned to a commit and kept, with the sha256, in source.json beside the weights; both
    folders can be carried to a machine without a network ($WSI_MODELS).

    Args:
        name: an encoder of the catalog, a folder with a model.yaml, or timm:NAME.
        folder: where to put them; None takes the folder that encoders are looked for in.
        token: for gated repositories; None takes HF_TOKEN or the hub's own log-in.

    Raises:
        ModelError: no such encoder, or one that can't be built here.
        WeightsError: no access, no safetensors file, no network, or a wrong sha256. Nothing is kept then.
    """
    wanted = _wanted(name)
    target = fetched_folder(wanted.name) if folder is None else folder
    try:
        revision, files = _listing(wanted, token)
        file = _choose(wanted, files)
        with TemporaryDirectory() as temporary:
            got = Path(hf_hub_download(wanted.hub, file, revision=revision, local_dir=temporary, token=token))
            digest = sha256_file(got)
            for expected in (files[file], wanted.sha256):
                if expected is not None and digest != expected:
                    raise WeightsError(f"{wanted.hub}/{file}: has sha256 {digest}, expected {expected}; try again")
            with publishing(target / WEIGHTS) as part:
                shutil.move(got, part)
    except GatedRepoError as error:
        raise WeightsError(
            f"{wanted.hub}: gated; accept its terms on the hub with your account, then set HF_TOKEN to a token of it"
        ) from error
    except OfflineModeIsEnabled as error:
        raise WeightsError(f"{wanted.hub}: HF_HUB_OFFLINE is set; unset it to fetch") from error
    except WsiError:
        raise
    except (ConnectionFailed, HFValidationError, OSError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise WeightsError(f"{wanted.hub}: could not be fetched ({first})") from error
    source = {"hub": wanted.hub, "file": file, "revision": revision, "sha256": digest}
    publish(target / SOURCE, json.dumps(source, sort_keys=True, indent=1).encode())
    return target / WEIGHTS


def _wanted(name: str) -> _Wanted:
    if name.startswith("timm:"):
        return _Wanted(name, "timm/" + name.removeprefix("timm:"), None, None, None)
    card = encoder_card(find_folder(name, "encoder"))
    if card.architecture.library != "timm":
        raise ModelError(f"{name}: can't be run here (it needs {card.architecture.library}), so it isn't fetched")
    if card.weights.hub is None:
        raise ModelError(f"{name}: its card names no repository on the hub")
    weights = card.weights
    return _Wanted(card.id, card.weights.hub, weights.hub_file, weights.revision, weights.sha256)


def _listing(wanted: _Wanted, token: str | None) -> tuple[str, dict[str, str | None]]:
    """Return the commit, and the files of the repository with their sha256 where the hub knows it."""
    found = HfApi(token=token).model_info(wanted.hub, revision=wanted.revision, files_metadata=True)
    files = {one.rfilename: one.lfs.sha256 if one.lfs else None for one in found.siblings or []}
    return str(found.sha), files


def _choose(wanted: _Wanted, files: dict[str, str | None]) -> str:
    for name in (wanted.file, WEIGHTS):
        if name in files and name.endswith(".safetensors"):
            return name
    pickles = [name for name in sorted(files) if name.endswith(PICKLES)]
    if pickles:
        raise WeightsError(f"{wanted.hub}: holds {pickles[0]} and no {WEIGHTS}; {CONVERT}")
    raise WeightsError(f"{wanted.hub}: holds no {WEIGHTS}; found {', '.join(sorted(files)[:5]) or 'nothing'}")
