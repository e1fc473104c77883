"""The review's server: how long a click on a slide takes until its first view is there, and tiles at 20 requests at once.

    python scripts/bench/review.py --slides SLIDES [--out OUT]

Without --slides two slides are drawn; without --out they are run first, which takes a while. The server is `wsi-run
review` in a process of its own, started anew for the first views, so that no slide is open yet. A first view is the
case with its thumbnail, outlines and heat, and the tiles that fill a window of 1600 x 900 px, asked for over six
connections as browsers do. The client runs in Python on the same cores, and so counts as part of what it measures.
"""

import contextlib
import http.client
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import local
from typing import Any

from form import Claim, arguments, close, spread, table

WINDOW = (1600, 900)
BROWSER_CONNECTIONS = 6
AT_ONCE = 20
SOFTEST = 1.3
"""A level is shown at most this much enlarged before a finer one is taken."""
MAX_FIRST_VIEW_S, MAX_TILE_P95_MS = 1.0, 60.0


@dataclass(frozen=True, slots=True)
class Place:
    """One tile of a slide."""

    slide: str
    level: int
    column: int
    row: int

    @property
    def path(self) -> str:
        return f"/api/cases/{self.slide}/tiles/{self.level}/{self.column}/{self.row}"


class Client:
    """A browser that came in by the link; each thread has a connection of its own."""

    def __init__(self, link: str) -> None:
        address, _, query = link.removeprefix("http://").partition("/")
        self._host, port = address.rsplit(":", 1)
        self._port, self._mine = int(port), local()
        connection = http.client.HTTPConnection(self._host, self._port)
        connection.request("GET", f"/{query}")
        self._cookie = (connection.getresponse().headers["set-cookie"] or "").split(";")[0]
        connection.close()

    def get(self, path: str) -> bytes:
        connection = getattr(self._mine, "connection", None)
        if connection is None:
            connection = self._mine.connection = http.client.HTTPConnection(self._host, self._port)
        connection.request("GET", path, headers={"cookie": self._cookie})
        answer = connection.getresponse()
        content: bytes = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{path}: status {answer.status}: {content[:200]!r}")
        return content


def main() -> None:
    """Measure, print the tables, exit 1 when a claim doesn't hold."""
    parser = arguments(__doc__)
    parser.add_argument("--slides", type=Path, help="folder of slides; two are drawn without it")
    parser.add_argument("--out", type=Path, help="results of a run over them; made without it")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tiles", type=int, default=150, help="tiles of each slide asked for, 20 at once")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        slides = chosen.slides or drawn(Path(scratch) / "slides")
        out = chosen.out or ran(slides, Path(scratch) / "OUT")
        views: dict[str, list[float]] = {}
        for _ in range(chosen.rounds):
            with serving(out, slides) as (link, _):
                for name, seconds in first_views(Client(link)).items():
                    views.setdefault(name, []).append(seconds)
        tiles: list[list[float]] = []
        by_slide: dict[str, list[float]] = {}
        again: list[list[float]] = []
        costs: list[float] = []
        for number in range(chosen.rounds):
            with serving(out, slides) as (link, process):
                first, second, cost = all_slides(Client(link), process, chosen.tiles, seed=number, by_slide=by_slide)
            tiles.append(first)
            again.append(second)
            costs.append(cost)
    show(views, by_slide, tiles, again)
    print(f"\nCPU of server and decoders: {spread([1000 * cost for cost in costs])} ms a new tile")
    worst = max(statistics.median(each) for each in views.values())
    close(
        [
            Claim("s from the click to the first view, slowest slide", worst, MAX_FIRST_VIEW_S),
            Claim(f"ms a tile, 95th percentile, {AT_ONCE} at once", middle(tiles, 95), MAX_TILE_P95_MS),
            Claim("ms a tile that was asked for before", middle(again, 95), MAX_TILE_P95_MS),
        ],
        chosen.json,
    )


def show(
    views: dict[str, list[float]],
    by_slide: dict[str, list[float]],
    tiles: Sequence[Sequence[float]],
    again: Sequence[Sequence[float]],
) -> None:
    each = [(name, spread(views[name]), f"{1000 * percentile(by_slide[name], 95):.0f}") for name in sorted(views)]
    print(table(("slide", "first view, s", f"95 % of its tiles, ms, {AT_ONCE} at once"), each) + "\n")
    rows = [
        (name, *(f"{middle(found, share):.1f}" for share in (50, 95, 99)), f"{rate(found):.0f}")
        for name, found in (("new tiles", tiles), ("the same once more", again))
    ]
    print(table(("", "median ms", "95 %", "99 %", "tiles/s"), rows))


def cpu_s(process: int) -> float:
    """Return the CPU seconds that a process and its children took so far; 0 where the system doesn't tell."""
    found, children = 0.0, Path(f"/proc/{process}/task/{process}/children")
    if children.exists():
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        found = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        found += sum(cpu_s(int(child)) for child in children.read_text().split())
    return found


def percentile(values: Sequence[float], share: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[share - 1]


def middle(rounds: Sequence[Sequence[float]], share: int) -> float:
    """Return the median over the rounds of a percentile, in ms."""
    return 1000 * statistics.median(percentile(each, share) for each in rounds)


def rate(rounds: Sequence[Sequence[float]]) -> float:
    """Return tiles a second, AT_ONCE of them under way all the time."""
    return statistics.median(AT_ONCE / statistics.mean(each) for each in rounds)


@contextlib.contextmanager
def serving(out: Path, slides: Path) -> Iterator[tuple[str, int]]:
    """Yield the link of a server of its own, its decoders started, and its process id."""
    command = [sys.executable, "-m", "wsi.cli", "review", str(out), "--slides", str(slides)]
    server = subprocess.Popen([*command, "--no-browser", "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        link = server.stdout.readline().strip()
        time.sleep(3)
        yield link, server.pid
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)


def first_views(client: Client) -> dict[str, float]:
    """Return the seconds until each slide's first view is there."""
    found = {}
    with ThreadPoolExecutor(BROWSER_CONNECTIONS) as pool:
        for row in json.loads(client.get("/api/cases"))["cases"]:
            if not row["viewable"]:
                continue
            started = time.perf_counter()
            case = json.loads(client.get(f"/api/cases/{row['slide']}"))
            if case["view"] is None:
                continue
            base = f"/api/cases/{row['slide']}"
            paths = [f"{base}/outlines"] * case["outlines"] + [f"{base}/thumbnail"] * case["thumbnail"]
            paths += [f"{base}/heat/{layer['id']}" for layer in (case["heat"] or {}).get("layers", [])[:1]]
            paths += [place.path for place in window_tiles(row["slide"], case["view"])]
            list(pool.map(client.get, paths))
            found[row["name"]] = time.perf_counter() - started
    return found


def window_tiles(slide: str, view: dict[str, Any]) -> list[Place]:
    """Return the tiles that show the whole slide in the window."""
    px = min(WINDOW[0] / view["width"], WINDOW[1] / view["height"])
    fitting = [number for number, level in enumerate(view["levels"]) if level["downsample"] * px <= SOFTEST]
    number = fitting[-1] if fitting else 0
    return tiles_of(slide, number, view["levels"][number])


def tiles_of(slide: str, number: int, level: dict[str, Any]) -> list[Place]:
    columns, rows = -(-level["width"] // level["tile_px"]), -(-level["height"] // level["tile_px"])
    return [Place(slide, number, column, row) for row in range(rows) for column in range(columns)]


def all_slides(
    client: Client, process: int, count: int, *, seed: int, by_slide: dict[str, list[float]]
) -> tuple[list[float], list[float], float]:
    """Look at one slide after the other, as people do; what each slide's tiles took is added to `by_slide`.

    Returns:
        Seconds that each new tile took, and once more; CPU seconds of the server a new tile.
    """
    dice, first, second, spent = random.Random(seed), list[float](), list[float](), 0.0
    for row in json.loads(client.get("/api/cases"))["cases"]:
        view = json.loads(client.get(f"/api/cases/{row['slide']}"))["view"] if row["viewable"] else None
        if view is None:
            continue
        places = [
            place for number, level in enumerate(view["levels"]) for place in tiles_of(row["slide"], number, level)
        ]
        places = dice.sample(places, min(len(places), count))
        before = cpu_s(process)
        taken = at_once(client, places)
        by_slide.setdefault(row["name"], []).extend(taken)
        first += taken
        spent += cpu_s(process) - before
        second += at_once(client, places)
    return first, second, spent / len(first)


def at_once(client: Client, places: Sequence[Place]) -> list[float]:
    """Return the seconds that each tile took, AT_ONCE under way all the time."""

    def timed(place: Place) -> float:
        started = time.perf_counter()
        client.get(place.path)
        return time.perf_counter() - started

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(timed, places))


def drawn(folder: Path) -> Path:
    """Draw two slides of 12,000 px, one of JPEG and one of JPEG 2000."""
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from tests import make

    folder.mkdir()
    picture = make.draw_tissue(12_000, 12_000)
    for name, compression in (("jpeg.svs", "jpeg"), ("jpeg2000.svs", "jpeg2000")):
        make.write_svs(folder / name, picture, compression=compression)
    return folder


def ran(slides: Path, out: Path) -> Path:
    command = [sys.executable, "-m", "wsi.cli", str(slides), "-o", str(out), "-q"]
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "2"})
    return out


if __name__ == "__main__":
    main()
