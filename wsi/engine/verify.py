"""Check every file of OUT against the hashes it was published under."""

from dataclasses import dataclass
from pathlib import Path

from wsi.engine.finish import SUMS, is_listed, listed_name
from wsi.errors import ArtifactError
from wsi.publish import sha256_bytes, sha256_file


@dataclass(frozen=True, slots=True)
class Finding:
    """A file that isn't as it was published."""

    name: str
    what: str


def verify_out(out: Path) -> tuple[int, list[Finding]]:
    """Return how many files are listed, and those that changed, are missing, came in or can't be read.

    Every byte is read, whatever a cache says.

    Raises:
        ArtifactError: the list of hashes is missing or was changed itself.
    """
    wanted = _listed(out / SUMS)
    here = {listed_name(path, out): path for path in sorted(out.rglob("*")) if path.is_file() and is_listed(path, out)}
    findings = [Finding(name, "missing") for name in wanted if name not in here]
    findings += [Finding(name, "not published by a finished run") for name in here if name not in wanted]
    looked_at = ((name, _fault(path, wanted[name])) for name, path in here.items() if name in wanted)
    findings += [Finding(name, fault) for name, fault in looked_at if fault]
    return len(wanted), sorted(findings, key=lambda finding: finding.name)


def _fault(path: Path, digest: str) -> str:
    """Return what is wrong with a file; "" when it is as it was published."""
    try:
        return "" if sha256_file(path) == digest else "changed"
    except OSError as error:
        return f"can't be read ({error.strerror or error})"


def _listed(path: Path) -> dict[str, str]:
    try:
        text = path.read_bytes().decode("utf-8", "surrogateescape")
    except OSError as error:
        raise ArtifactError(f"{path}: can't be read ({error}); run wsi-run on this folder again") from error
    lines, _, seal = text.rpartition("# ")
    if seal.strip() != sha256_bytes(lines.encode("utf-8", "surrogateescape")):
        raise ArtifactError(f"{path}: was changed or cut off itself; run wsi-run on this folder again")
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines.split("\n") if line)}
