"""report.html, read by an HTML parser: one file, no script, nothing from elsewhere, nothing hostile alive."""

import base64
import io
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.export.cases import (
    CLASSES,
    MODEL_SHA256,
    NO_VERDICT,
    grid_coords,
    make_case,
    make_record,
    make_result,
    make_scale,
    make_scores,
)
from wsi.export.embed import LEAST_BYTES, WHOLE_BYTES, budget, embedded
from wsi.export.report import write_report
from wsi.export.words import NEXT_STEP
from wsi.results import AlsoVerdict, ClassScore, ImageFacts, Record, Result

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """All tags with their attributes, the text, and whether every tag is closed where it should be."""

    def __init__(self, content: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(content)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.text += data

    def all(self, tag: str) -> Iterator[dict[str, str | None]]:
        return (attributes for name, attributes in self.tags if name == tag)


def graded(out: Path, slide: str, probability: float, **changes: Any) -> Record:
    classes = [CLASSES[0], ClassScore(name="Malignant", color=[213, 94, 0], probability=probability)]
    told = {"classes": classes, "grade": "Malignant" if probability >= 0.5 else "Benign", "path": f"{slide}.svs"}
    result = make_result(make_scale(), slide=slide, **{**told, **changes})
    return put(out, result, noise=True)


def put(out: Path, result: Result, *, noise: bool = False) -> Record:
    case = make_case(out / "slides" / result.slide, result, make_scores(grid_coords(2, 2, step=448)))
    if noise:
        pixels = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
        Image.fromarray(pixels).save(case.folder / "heatmap.png", compress_level=1)
        Image.fromarray(pixels[:24]).save(case.top_tiles)
    return make_record(result, {"heatmap.png": "0" * 64, "1.geojson.gz": "0" * 64})


def page(out: Path, records: list[Record]) -> Page:
    write_report(out, records)
    return Page((out / "report.html").read_text(encoding="utf-8"))


def refused(out: Path, slide: str, code: str, status: str = "refused") -> Record:
    reason = f"{slide}: told why"
    return put(out, make_result(None, slide=slide, path=slide, status=status, code=code, reason=reason, **NO_VERDICT))


def test_one_file_that_asks_for_nothing_from_elsewhere(tmp_path: Path) -> None:
    found = page(tmp_path, [graded(tmp_path, "a", 0.9)])
    assert not {"script", "link", "iframe", "object", "form"} & {tag for tag, _ in found.tags}
    assert all((image["src"] or "").startswith("data:image/jpeg;base64,") for image in found.all("img"))
    links = [link["href"] or "" for link in found.all("a")]
    assert all(link.startswith(("#", "slides/")) for link in links)
    style = re.search(r"<style>(.*?)</style>", (tmp_path / "report.html").read_text(encoding="utf-8"), re.DOTALL)
    assert style
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    policy = next(meta for meta in found.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert (policy["content"] or "").startswith("default-src 'none'; ")


def test_links_inside_the_page_lead_somewhere(tmp_path: Path) -> None:
    found = page(tmp_path, [graded(tmp_path, "a", 0.9), refused(tmp_path, "b", "E_FORMAT")])
    ids = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {link["href"] for link in found.all("a") if (link["href"] or "").startswith("#")} <= {f"#{i}" for i in ids}


def test_pictures_have_words_and_the_page_a_language_and_one_heading(tmp_path: Path) -> None:
    found = page(tmp_path, [graded(tmp_path, "a", 0.9)])
    assert [html["lang"] for html in found.all("html")] == ["en"]
    assert len(list(found.all("h1"))) == 1
    assert len(list(found.all("img"))) == 2
    assert all(image["alt"] for image in found.all("img"))
    assert all(cell["scope"] for cell in found.all("th"))


def test_slides_stand_from_the_most_suspicious_to_those_that_failed(tmp_path: Path) -> None:
    records = [
        refused(tmp_path, "failed", "E_CRASH", status="failed"),
        graded(tmp_path, "low", 0.2),
        refused(tmp_path, "refused", "E_FORMAT"),
        graded(tmp_path, "high", 0.97),
        refused(tmp_path, "lost", "E_LOSS", status="partial"),
        graded(tmp_path, "middle", 0.6),
    ]
    found = page(tmp_path, records)
    order = [article["id"] for article in found.all("article")]
    assert order == [f"slide-{name}" for name in ("high", "middle", "low", "lost", "refused", "failed")]
    rows = [link["href"] for link in found.all("a") if (link["href"] or "").startswith("#slide")]
    assert rows == [f"#{name}" for name in order]


def test_verdict_referral_quality_tiles_scale_and_model_are_said(tmp_path: Path) -> None:
    text = page(tmp_path, [graded(tmp_path, "a", 0.93)]).text
    for words in (
        "Research use only. Not for diagnosis.",
        "Malignant, P(Malignant) = 0.93",
        "Refer to a pathologist: close to the threshold",
        "out of focus",
        "blur 12%",
        "98 of 100, 2 unreadable",
        "84 mm²",
        "0.25 × 0.25 µm/px, from the slide's own metadata",
        "each is 112 µm wide",
        "card says whether and on whom its probabilities were calibrated",
        MODEL_SHA256,
    ):
        assert words in text


def test_a_second_verdict_whose_title_has_a_colon_is_told_under_its_title_once(tmp_path: Path) -> None:
    yes = [ClassScore(name=n, color=[0, 0, 0], probability=p) for n, p in (("no", 0.2), ("yes", 0.8))]
    also = AlsoVerdict(name="edema", title="Edema: macular", classes=yes, positive="yes", grade="yes", confidence=0.8)
    page(tmp_path, [graded(tmp_path, "a", 0.93, also=[also])])
    content = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<dt>Edema: macular</dt><dd>yes, P(yes) = 0.80</dd>" in content


def test_a_threshold_near_0_is_not_told_as_0(tmp_path: Path) -> None:
    text = page(tmp_path, [graded(tmp_path, "a", 0.93, threshold=0.00425)]).text
    assert "Threshold0.00425" in text.replace("\n", "")


@pytest.mark.parametrize("code", sorted(NEXT_STEP))
def test_a_stopped_slide_has_its_code_its_reason_and_the_next_step(tmp_path: Path, code: str) -> None:
    text = page(tmp_path, [refused(tmp_path, "b", code)]).text
    assert f"{code} b: told why" in text
    assert NEXT_STEP[code] in text
    assert "P(" not in text


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "' onmouseover='alert(1)",
        "--><b>",
        "</style><script>",
        "a\x1b[31m\x00\n\u202e",
        "javascript:alert(1)",
        "\\xff",
    ],
)
def test_hostile_names_are_text(tmp_path: Path, name: str) -> None:
    plain = tags_of(page(tmp_path / "plain", [graded(tmp_path / "plain", "a", 0.9)]))
    record = graded(tmp_path, "a", 0.9, path=name, refer_reason=name, flags=[name], quality={name: 0.12})
    found = page(tmp_path, [record])
    assert tags_of(found) == plain
    content = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u202e]", content)


def tags_of(found: Page) -> list[str]:
    return [tag for tag, _ in found.tags]


def test_pictures_of_a_thousand_slides_fit_and_each_keeps_to_its_share(tmp_path: Path) -> None:
    shares = [budget(1000, place) for place in range(1000)]
    assert all(0 < share.heatmap + share.strip <= 60_000 for share in shares)
    assert sum(share.heatmap + share.strip for share in shares) <= WHOLE_BYTES
    many = [budget(100_000, place) for place in range(100_000)]
    assert sum(share.heatmap + share.strip for share in many) <= WHOLE_BYTES
    assert many[0].heatmap > 0
    assert many[-1].heatmap == 0
    assert budget(1, 0).heatmap > LEAST_BYTES


@pytest.mark.parametrize("most", [4000, 40_000, 400_000])
def test_the_worst_picture_keeps_to_its_bytes(tmp_path: Path, most: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (600, 800, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png", compress_level=1)
    uri = embedded(tmp_path / "noise.png", most, longest_px=1200)
    assert uri is not None
    assert len(uri) <= most + 30
    with Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))) as image:
        assert image.format == "JPEG"
        assert image.width / image.height == pytest.approx(4 / 3, rel=0.02)


@pytest.mark.parametrize("content", [None, b"", b"\x89PNG\r\n\x1a\n", b"GIF89a"])
def test_a_picture_that_cannot_be_read_is_left_out(tmp_path: Path, content: bytes | None) -> None:
    record = graded(tmp_path, "a", 0.9)
    path = tmp_path / "slides" / "a" / "heatmap.png"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert len(list(page(tmp_path, [record]).all("img"))) == 1


def test_same_results_give_the_same_bytes_and_nothing_is_written_twice(tmp_path: Path) -> None:
    for out in (tmp_path / "1", tmp_path / "2"):
        write_report(out, [graded(out, "a", 0.9), refused(out, "b", "E_FORMAT")])
    first, second = tmp_path / "1" / "report.html", tmp_path / "2" / "report.html"
    assert first.read_bytes() == second.read_bytes()
    before = first.stat().st_mtime_ns
    write_report(tmp_path / "1", [graded(tmp_path / "1", "a", 0.9), refused(tmp_path / "1", "b", "E_FORMAT")])
    assert first.stat().st_mtime_ns == before


@pytest.mark.parametrize("place", [0, 700, -1])
def test_a_byte_that_changed_is_put_right(tmp_path: Path, place: int) -> None:
    records = [graded(tmp_path, "a", 0.9)]
    write_report(tmp_path, records)
    path = tmp_path / "report.html"
    whole = path.read_bytes()
    broken = bytearray(whole)
    broken[place] ^= 1
    path.write_bytes(broken)
    write_report(tmp_path, records)
    assert path.read_bytes() == whole


def test_a_new_verdict_is_a_new_report(tmp_path: Path) -> None:
    write_report(tmp_path, [graded(tmp_path, "a", 0.9)])
    assert "= 0.31" in page(tmp_path, [graded(tmp_path, "a", 0.31)]).text


def test_no_slide_at_all_is_a_page_too(tmp_path: Path) -> None:
    assert "0 slides" in page(tmp_path, []).text


def test_refused_file_among_images_is_told_in_words_of_images(tmp_path: Path) -> None:
    image = ImageFacts(format="png", axes=["y", "x"], shape=[96, 128], unit="px", steps=[1, 1], channels=["gray"])
    shown = put(tmp_path, make_result(None, slide="a", path="a.png", image=image))
    told = {**NO_VERDICT, "slide": "b", "path": "b.png", "status": "refused", "code": "E_MODALITY", "reason": "no"}
    refused = put(tmp_path, make_result(None, **told))
    write_report(tmp_path, [shown, refused])
    text = Page((tmp_path / "report.html").read_text()).text
    assert text.count("Back to all images") == text.count("Image's SHA-256") == 2
    assert not re.search("Slide's|Tiles read|all slides|Tissue|counts.noun", text)
    assert "Skip to the images" in text
