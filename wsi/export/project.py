"""qupath/: a project that opens in QuPath with all slides, as a worklist, and a script that adds their objects.

It is written without Java, and it is shared with the person who works in it: what QuPath or they put there stays.
An image's number follows from the slide's id, so its folder of data is found again after every run.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wsi.export.cohort import SLIDES, Entry, publish_changes
from wsi.export.geojson import TISSUE_COLOR, class_name, read_origin
from wsi.export.words import model_hash, notice, positive_probability, referral, verdict
from wsi.printable import printable
from wsi.results import RESEARCH_USE, Result

FOLDER = "qupath"
ID_KEY = "wsi-run id"
"""Metadata of an image that says which slide of the run it is; images without it are the user's own."""
PLACES_KEY = "wsi-run places"
"""Where those slides of the run lay that are no images of the project, or that a link led to, by id. QuPath drops it when
it saves."""
_VERSION = "0.4.4"
"""The oldest QuPath that was tried; newer ones read it as well."""
_NOWHERE = "file:///OUT/qupath/project.qpproj"
_SERVERS = "qupath.lib.images.servers."
_OPENSLIDE = _SERVERS + "openslide.OpenslideServerBuilder"
_BIOFORMATS = _SERVERS + "bioformats.BioFormatsServerBuilder"
_UNCROPPED = "--no-crop"
_README = """{notice}{models}
Open project.qpproj in QuPath, 0.4 or newer, then choose Automate > Project scripts > import and Run, to see tissue, \
regions and tile scores on every slide; Measure > Show measurement maps colors the tiles.
Keep this folder beside the folder slides, and right-click the list of images to sort it by Grade, Probability or Refer.
{rest}"""


@dataclass
class _Gathered:
    """What the slides of the run give the project."""

    images: list[dict[str, Any]] = field(default_factory=list)
    objects: str = ""
    """Lines of objects.tsv: an image's number, a tab, its objects relative to the project."""
    classes: dict[str, tuple[int, ...]] = field(default_factory=lambda: {"Tissue": TISSUE_COLOR})
    models: dict[str, None] = field(default_factory=dict)
    absent: int = 0

    def add(self, entry: Entry, image: dict[str, Any] | None) -> None:
        slide, made = entry.result.slide, entry.result.provenance
        colors = [(one.name, one.color) for one in entry.result.classes]
        colors += [(one.name, one.color) for one in entry.result.structures]
        for name, color in colors:
            self.classes.setdefault(class_name(name), tuple(color))
        if made and made.model:
            self.models[printable(f"{made.model} {made.model_version} {made.model_sha256}")] = None
        if image is None:
            self.absent += not _is_volume(entry.result)
            return
        self.images.append(image)
        if entry.objects:
            self.objects += f"{image['entryID']}\t../{SLIDES}/{slide}/{entry.objects}\n"


def write_project(out: Path, slides: Iterable[Entry], places: Mapping[str, Path], links: Mapping[str, Path]) -> None:
    """Write or bring up to date the project in `out`.

    Args:
        places: where slides lie, by id; the others keep the place that the project has for them, or are left out.
        links: where the names of those lie that are found elsewhere.
    """
    folder = out / FOLDER
    before = _read(folder / "project.qpproj")
    known = {_slide_of(image): image for image in before["images"]}
    lie = {slide: place.as_uri() for slide, place in {**places, **links}.items()}
    gathered, uris = _Gathered(), {**_places(before), **lie}
    linked = {slide for slide in _told(before) if slide not in places}.union(links)
    others: dict[str, str] = {}
    for entry in slides:
        slide = entry.result.slide
        image = _image(entry, places.get(slide), known.get(slide))
        gathered.add(entry, image)
        if slide in uris and (image is None or slide in linked):
            others[slide] = uris[slide]
    images = gathered.images + [image for image in before["images"] if _slide_of(image) is None]
    project = {
        **{key: value for key, value in before.items() if key != PLACES_KEY},
        "uri": (folder.resolve() / "project.qpproj").as_uri() if places else before["uri"],
        "lastID": max([before["lastID"], *(image["entryID"] for image in images)]),
        "images": images,
        **({PLACES_KEY: others} if others else {}),
    }
    _put(folder / "project.qpproj", project)
    _put(folder / "classifiers" / "classes.json", _classes(folder / "classifiers" / "classes.json", gathered.classes))
    script = Path(__file__).with_name("import.groovy").read_bytes()
    publish_changes(folder / "scripts" / "import.groovy", [script])
    publish_changes(folder / "objects.tsv", [gathered.objects.encode()])
    publish_changes(folder / "README.txt", [_readme(gathered).encode()])


def known_places(out: Path) -> dict[str, str]:
    """Return where the slides of the run in `out` lay when they were last seen: a URI by id."""
    return _places(_read(out / FOLDER / "project.qpproj"))


def _places(project: Mapping[str, Any]) -> dict[str, str]:
    places: dict[Any, Any] = {}
    for image in project["images"]:
        server, slide = image.get("serverBuilder"), image["metadata"].get(ID_KEY)
        if slide is not None and isinstance(server, dict):
            places[slide] = server.get("uri")
    places |= _told(project)
    return {slide: uri for slide, uri in places.items() if isinstance(slide, str) and isinstance(uri, str)}


def _told(project: Mapping[str, Any]) -> dict[Any, Any]:
    told = project.get(PLACES_KEY)
    return told if isinstance(told, dict) else {}


def _readme(gathered: _Gathered) -> str:
    absent = "1 slide is" if gathered.absent == 1 else f"{gathered.absent} slides are"
    rest = (
        f"{absent} not in the project: refused or failed, which report.html explains, or in a place that isn't known "
        "here; then run wsi-run on the slides again.\n"
    )
    made = "".join(f" Model {name}." for name in gathered.models)
    return _README.format(notice=RESEARCH_USE, models=made, rest=rest if gathered.absent else "")


def entry_number(slide: str) -> int:
    """Return the number of a slide in the project: from its id alone, 48 bits, so that no two slides share one."""
    return int.from_bytes(hashlib.sha256(slide.encode(errors="surrogatepass")).digest()[:6])


def _slide_of(image: Mapping[str, Any]) -> str | None:
    """Return the id of the slide that an image is of; None for a person's own, as a copy that they made in QuPath."""
    slide = image["metadata"].get(ID_KEY)
    return slide if isinstance(slide, str) and image["entryID"] == entry_number(slide) else None


def _image(entry: Entry, place: Path | None, known: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the project's entry for a slide, None when it couldn't be opened or its place isn't known."""
    result = entry.result
    if _is_volume(result):
        return None
    reader = result.provenance.reader if result.provenance else ""
    server = known["serverBuilder"] if known else None
    if place is not None and reader:
        server = _server(place, reader, cropped=_is_cropped(entry), known=server)
    if server is None:
        return None
    kept = known or {}
    return {
        **kept,
        "serverBuilder": server,
        "entryID": kept.get("entryID", entry_number(result.slide)),
        "imageName": kept.get("imageName", printable(result.path)),
        "description": _description(result),
        "metadata": {**{k: v for k, v in kept.get("metadata", {}).items() if k not in _KEYS}, **_metadata(result)},
    }


def _is_volume(result: Result) -> bool:
    """Return whether QuPath has no use for it: it shows one plane."""
    return result.image is not None and len(result.image.shape) > 2


def _server(place: Path, reader: str, *, cropped: bool, known: dict[str, Any] | None) -> dict[str, Any]:
    """Return how QuPath opens a slide; what it has noted itself stays when that is the same."""
    with_openslide = reader == "openslide"
    server = {
        "builderType": "uri",
        "providerClassName": _OPENSLIDE if with_openslide else _BIOFORMATS,
        "uri": place.as_uri(),
        "args": [_UNCROPPED] if with_openslide and not cropped else [],
    }
    if known is None:
        return server
    same_file = all(known.get(key) == server[key] for key in ("uri", "providerClassName"))
    same_crop = (_UNCROPPED in known.get("args", [])) == (_UNCROPPED in server["args"])
    return known if same_file and same_crop else server


def _is_cropped(entry: Entry) -> bool:
    """Return whether the slide's objects count from its bounds, so that QuPath must show it cropped to them."""
    return not entry.objects or read_origin(entry.folder / entry.objects) == "qupath"


def _description(result: Result) -> str:
    return ". ".join(filter(None, (verdict(result), referral(result), printable(result.reason), notice(result))))


_KEYS = (
    "Grade",
    "Probability",
    "Value",
    "Confidence",
    "Refer",
    "Status",
    "Code",
    "Flags",
    "Model SHA-256",
    "Notice",
    ID_KEY,
)


def _metadata(result: Result) -> dict[str, str]:
    """Return what QuPath sorts the images by: text all of it, numbers with the same number of digits."""
    probability = positive_probability(result)
    values = (
        printable(result.grade or ""),
        "" if probability is None else f"{probability:.3f}",
        "" if result.value is None else f"{result.value.value:.4g}",
        "" if result.confidence is None else f"{result.confidence:.3f}",
        "yes" if result.refer else "no",
        result.status,
        result.code,
        ", ".join(map(printable, result.flags)),
        model_hash(result),
        RESEARCH_USE,
        result.slide,
    )
    return {key: value for key, value in zip(_KEYS, values, strict=True) if value}


def _classes(path: Path, ours: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """Return classes.json: the classes of the run, then those that the user added in QuPath."""
    there = _json(path).get("pathClasses", []) if not _is_untouched(path) else []
    theirs = [c for c in there if isinstance(c, dict) and c.get("name") not in ours]
    return {"pathClasses": [{"name": name, "color": _argb(color)} for name, color in ours.items()] + theirs}


def _argb(color: tuple[int, ...]) -> int:
    """Return a color as Java's signed int, opaque."""
    return int.from_bytes(bytes((255, *color[:3])), signed=True)


def _read(path: Path) -> dict[str, Any]:
    """Return the project that is there, as far as it is one."""
    found = _json(path)
    images = [i for i in found.get("images", []) if isinstance(i, dict) and isinstance(i.get("entryID"), int)]
    for image in images:
        if not isinstance(image.get("metadata"), dict):
            image["metadata"] = {}
    last = 0 if _is_untouched(path) else found.get("lastID")
    start = {"version": _VERSION, "createTimestamp": 0, "modifyTimestamp": 0, "uri": _NOWHERE}
    return {**start, **found, "lastID": last if isinstance(last, int) else 0, "images": images}


def _json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; an empty one when there is none or it is damaged."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_untouched(path: Path) -> bool:
    """Return whether the file is as we wrote it: QuPath ends its JSON without a line break."""
    return path.is_file() and path.read_bytes().endswith(b"}\n")


def _put(path: Path, content: dict[str, Any]) -> None:
    """Publish JSON unless the file says the same already, in QuPath's own layout maybe."""
    if _json(path) != content:
        publish_changes(path, [(json.dumps(content, indent=2, ensure_ascii=True) + "\n").encode()])
