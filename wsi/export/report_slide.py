"""One slide's section of report.html."""

from html import escape
from pathlib import Path
from urllib.parse import quote

from wsi.export.cohort import SLIDES, Entry
from wsi.export.embed import Budget, embedded
from wsi.export.heat import heat_of
from wsi.export.report_page import badge, flags, meter, refer_mark, status, tiles
from wsi.export.words import area, graded, next_step, probability, quantity, referral, verdict
from wsi.printable import html_text
from wsi.results import ImageFacts, Result, Scale

_FROM = {
    "metadata": "the slide's own metadata",
    "tiff-tags": "the TIFF's resolution tags",
    "table": "the table given to the run",
    "command-line": "the command line",
}
_HEATMAP_PX, _STRIP_PX = 1200, 2000
_SHOWN = ("heatmap.ome.tiff", "heatmap.png", "overlay.png", "mask.png", "mask.nii.gz")


def section(entry: Entry, budget: Budget, *, noun: str = "slide") -> str:
    """Return the section; pictures that don't fit the budget or aren't there are left out.

    Args:
        noun: what the report calls its rows: slide, or image where any of them isn't a slide.
    """
    result = entry.result
    title = f"title-{html_text(result.slide)}"
    return (
        f'<article id="slide-{html_text(result.slide)}" aria-labelledby="{title}">\n'
        f'<header><h2 id="{title}">{html_text(result.path)}</h2><p>{badge(result)} {_mark(result)} {flags(result)} '
        f"{status(result)}</p></header>\n"
        f'{_words(result)}<div class="columns">{_overview(entry, budget)}{_facts(entry, noun)}</div>\n'
        f'{_strip(entry, budget)}<p class="back"><a href="#cohort">Back to all {noun}s</a></p></article>\n'
    )


def _mark(result: Result) -> str:
    return refer_mark(result) if result.refer and result.has_verdict else ""


def _words(result: Result) -> str:
    """Return the verdict, why to refer, and what stopped the slide with what to do about it."""
    lines = f'<p class="verdict">{html_text(verdict(result))}</p>\n' if result.has_verdict else ""
    if result.has_verdict and result.refer:
        lines += f'<p class="referral">{html_text(referral(result))}</p>\n'
    if result.code:
        lines += (
            f'<div class="trouble"><p><code>{html_text(result.code)}</code> {html_text(result.reason)}</p>'
            f"<p><strong>Next step:</strong> {html_text(next_step(result.code))}</p></div>\n"
        )
    return lines


def _overview(entry: Entry, budget: Budget) -> str:
    heat = heat_of(entry.result)
    path = entry.folder / ("heatmap.png" if heat else "thumbnail.jpg")
    alt = "Overview of the slide"
    if entry.result.image is not None:
        path, alt = _image(entry)
    elif heat:
        alt = f"Heatmap of the slide: {html_text(heat.name)} of each tile over the tissue"
    picture = embedded(path, budget.heatmap, longest_px=_HEATMAP_PX)
    if picture is None:
        return ""
    return f'<figure class="overview"><img src="{picture}" alt="{alt}" loading="lazy"></figure>\n'


def _image(entry: Entry) -> tuple[Path, str]:
    """Return the picture that shows most of an image, and what it is."""
    told = {
        "overlay.png": f"The image with what was marked on it: {html_text(verdict(entry.result))}",
        "heatmap.png": "The image with what spoke for the verdict",
        "thumbnail.jpg": "Overview of the image",
    }
    name = next((name for name in told if name in entry.record.artifacts), "thumbnail.jpg")
    return entry.folder / name, told[name]


def _strip(entry: Entry, budget: Budget) -> str:
    result = entry.result
    path = entry.folder / "top_tiles.jpg"
    if not result.has_verdict or result.scale is None or not path.is_file():
        return ""
    picture = embedded(path, budget.strip, longest_px=_STRIP_PX)
    if picture is None:
        return ""
    side_um = result.scale.tile_px * result.scale.tile_mpp
    caption = f"The tiles with the most attention, the most first; each is {side_um:.4g} µm wide."
    return (
        f'<figure class="strip"><img src="{picture}" alt="{caption}" loading="lazy">'
        f"<figcaption>{caption}</figcaption></figure>\n"
    )


def _facts(entry: Entry, noun: str) -> str:
    result = entry.result
    is_image = result.image is not None or (noun == "image" and result.scale is None)  # a refused one may be either
    rows = [
        *((f"P({html_text(c.name)})", meter(c.probability)) for c in result.classes),
        *_values(result),
        *_structures(result),
        *((html_text(one.title), html_text(graded(one))) for one in result.also),
        *([("Confidence", probability(result.confidence))] if result.confidence is not None else []),
        *([("Threshold", f"{result.threshold:.3g}")] if result.threshold is not None else []),
        *_quality(result),
        (
            "Windows read" if is_image else "Tiles read",
            tiles(result) + (f", {result.tiles.unreadable:,} unreadable" if result.tiles.unreadable else ""),
        ),
        *([("Tissue", area(result.tissue_mm2)), *_scale(result.scale)] if result.scale else []),
        *(_about(result.image) if result.image else []),
        *_made_by(result, "Image" if is_image else "Slide"),
        *_files(entry),
    ]
    items = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>\n" for name, value in rows)
    return f'<dl class="facts">\n{items}</dl>\n'


def _values(result: Result) -> list[tuple[str, str]]:
    """Return the value of a model without classes, and its survival curve."""
    rows = [(html_text(result.value.name), html_text(quantity(result.value)))] if result.value else []
    if curve := result.survival:
        points = (f"{time:g}: {probability(share)}" for time, share in zip(curve.times, curve.shares, strict=True))
        rows.append((f"Free of {html_text(curve.event)} beyond ({html_text(curve.unit)})", escape(", ".join(points))))
    return rows


def _structures(result: Result) -> list[tuple[str, str]]:
    """Return how much of each structure there is, with its color on the picture."""
    rows = []
    for one in result.structures:
        color = f"rgb({','.join(map(str, one.color))})"
        swatch = f'<span class="swatch" style="background:{color}" aria-hidden="true"></span>'
        rows.append((f"{swatch} {html_text(one.name)}", html_text(one.told)))
    return rows


def _about(image: ImageFacts) -> list[tuple[str, str]]:
    """Return what is known of an image that was read whole."""
    kind = f"{image.format}, {image.modality}" if image.modality else image.format
    rows = [("Image", html_text(f"{image.told}, {' '.join(image.channels)} ({kind})"))]
    return rows + ([("Noticed", html_text("; ".join(image.findings)))] if image.findings else [])


def _quality(result: Result) -> list[tuple[str, str]]:
    shares = ", ".join(f"{html_text(name)} {share:.0%}" for name, share in result.quality.items())
    rows = [("Flaws, share of the tissue", shares)] if shares else []
    if result.out_of_distribution is not None:
        rows.append(
            (
                "Distance to the training data" if result.image else "Distance to the training slides",
                f"{result.out_of_distribution:.2f} of the limit",
            )
        )
    return rows


def _scale(scale: Scale) -> list[tuple[str, str]]:
    mpp = (
        f"{scale.mpp_x:.4g} × {scale.mpp_y:.4g} µm/px, from {_FROM.get(scale.mpp_source, html_text(scale.mpp_source))}"
    )
    return [("Scale", mpp), ("Slide", f"{scale.width:,} × {scale.height:,} px")]


def _made_by(result: Result, kind: str) -> list[tuple[str, str]]:
    made = result.provenance
    if made is None:
        return []
    rows = [
        (
            "Model",
            f"{html_text(made.model)} {html_text(made.model_version)} <code>{html_text(made.model_sha256)}</code>",
        ),
        (
            "Encoder",
            f"{html_text(made.encoder)} <code>{html_text(made.encoder_sha256)}</code> {html_text(made.precision)}, {html_text(made.backend)}",
        ),
        (f"{kind}'s SHA-256", f"<code>{html_text(made.slide_sha256)}</code>"),
        ("Made with", f"wsi-run {html_text(made.wsi_run)}, {html_text(made.reader)}"),
    ]
    present = (made.model, made.encoder, made.slide_sha256, made.reader)
    return [row for row, there in zip(rows, present, strict=True) if there]


def _files(entry: Entry) -> list[tuple[str, str]]:
    """Return links to the slide's files, which work as long as the report lies beside the folder slides."""
    names = [n for n in (entry.objects, *_SHOWN) if n and n in entry.record.artifacts]
    links = [
        f'<a href="{html_text(quote(f"{SLIDES}/{entry.result.slide}/{n}"))}">{html_text(Path(n).name)}</a>'
        for n in names
    ]
    return [("Files", "<br>".join(links))] if links else []
