"""Read files in a process of little memory, which says how each reading ended and how much it took."""

import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

LIMIT_S = 120
ROOM_BYTES = 2 << 30
"""What the process may take beyond what its imports took."""
_CHILD = """
import resource, sys
from pathlib import Path
from wsi.errors import WsiError
{imports}
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
def read(path):
    {reading}
held = peak()
taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + int(sys.argv[1]),) * 2)
for name in sys.argv[2:]:
    try:
        read(Path(name))
        outcome = "read"
    except WsiError as error:
        outcome = error.code
    print(outcome, peak() - held)
"""


def outcomes(paths: Sequence[Path], *, imports: str, reading: str, used_bytes: int) -> list[str]:
    """Return the error's code, or "read", of reading each file; the process's peak must stay below `used_bytes`.

    Args:
        imports: statements, before memory is limited. reading: statements on one line, of `path`.
    """
    if not Path("/proc/self/statm").is_file() or resource.RLIM_INFINITY not in resource.getrlimit(resource.RLIMIT_AS):
        pytest.skip("needs Linux without a memory limit")
    ended = subprocess.run(
        [sys.executable, "-c", _CHILD.format(imports=imports, reading=reading), str(ROOM_BYTES), *map(str, paths)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    told = [line.split() for line in ended.stdout.splitlines()]
    assert all(int(kilobytes) < used_bytes >> 10 for _, kilobytes in told), told
    return [outcome for outcome, _ in told]
