"""The head of report.html: what it is, what it counts, and a row for each slide."""

from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from wsi.export.heat import heat_of
from wsi.export.suspicion import is_suspicious
from wsi.export.words import area, flag, positive_probability, probability, quantity
from wsi.printable import html_text
from wsi.results import RESEARCH_USE, Result

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STATUS = {"ok": "done", "partial": "partly read", "refused": "refused", "failed": "failed"}
_SERIOUS = frozenset({"out-of-distribution", "unreadable-tiles"})


@dataclass
class Summary:
    """What the head counts, and the models that made the verdicts (name, version, sha256)."""

    slides: int = 0
    positive: int = 0
    referred: int = 0
    graded: int = 0
    stopped: int = 0
    models: dict[tuple[str, str, str], None] = field(default_factory=dict)
    images: int = 0
    """Those that aren't slides; refused files may be either."""
    shown: dict[str, None] = field(default_factory=dict)
    """What the table shows of the slides: the probability of a positive class, or a value."""

    def add(self, result: Result) -> None:
        self.slides += 1
        self.graded += result.has_verdict
        self.positive += is_suspicious(result)
        self.referred += result.has_verdict and result.refer
        if heat := heat_of(result):
            self.shown[heat.name] = None
        self.images += result.image is not None
        self.stopped += result.status in ("refused", "failed")
        if (made := result.provenance) and made.model:
            self.models[(made.model, made.model_version, made.model_sha256)] = None

    @property
    def noun(self) -> str:
        """What a row is called: a slide, or an image where any of them isn't one."""
        return "image" if self.images else "slide"


def opening(counts: Summary, mark: str) -> str:
    """Return all up to the first row of the table."""
    style = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    return (
        f'<!doctype html>\n<html lang="en">\n<!-- made from results {mark} -->\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>wsi-run report, {counts.slides} {counts.noun}s</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f'<a class="skip" href="#cohort">Skip to the {counts.noun}s</a>\n'
        f'<header><h1>{counts.noun.capitalize()} report</h1><p class="notice" role="note"><strong>{RESEARCH_USE}</strong> '
        f"A person looks at every {counts.noun}; this page says where to look first.</p>\n"
        f"{_counts(counts)}{_models(counts)}</header>\n{_table_head(counts)}"
    )


def _counts(counts: Summary) -> str:
    boxes = (
        (counts.slides, f"{counts.noun}s" if counts.slides != 1 else counts.noun, ""),
        (counts.positive, "suspicious", "hot"),
        (counts.referred, "to refer to a specialist" if counts.images else "to refer to a pathologist", "refer"),
        (counts.slides - counts.graded, "without a verdict", ""),
        (counts.stopped, "refused or failed", "stopped"),
    )
    items = "".join(
        f'<li class="{kind if count else "none"}"><b>{count}</b> {label}</li>' for count, label, kind in boxes
    )
    return f'<ul class="counts">{items}</ul>\n'


def _models(counts: Summary) -> str:
    made = [
        f"{html_text(f'{name} {version}')} <code>{html_text(sha256)}</code>" for name, version, sha256 in counts.models
    ]
    return f'<p class="model">Model {"; ".join(made)}</p>\n' if made else ""


def _table_head(counts: Summary) -> str:
    shown = html_text(next(iter(counts.shown))) if len(counts.shown) == 1 else "Probability"
    parts = ("Windows read", "Size") if counts.images else ("Tiles read", "Tissue")
    columns = (counts.noun.capitalize(), "Verdict", shown, "Refer", "Quality", *parts, "Status")
    cells = "".join(f'<th scope="col">{name}</th>' for name in columns)
    return (
        '<section id="cohort" aria-labelledby="cohort-title"><h2 id="cohort-title">'
        f'All {counts.noun}s, the most suspicious first</h2>\n<div class="scroll"><table class="cohort"><thead><tr>{cells}</tr></thead>\n<tbody>\n'
    )


def table_row(result: Result) -> str:
    """Return a slide's row."""
    value = positive_probability(result)
    told = html_text(quantity(result.value)) if result.value else meter(value) if value is not None else "–"
    cells = (
        f'<th scope="row"><a href="#slide-{html_text(result.slide)}">{html_text(result.path)}</a></th>',
        f"<td>{badge(result)}</td>",
        f"<td>{told}</td>",
        f"<td>{refer_mark(result)}</td>",
        f"<td>{flags(result) or '–'}</td>",
        f'<td class="figure">{tiles(result)}</td>',
        f'<td class="figure">{_extent(result)}</td>',
        f"<td>{status(result)}</td>",
    )
    return f"<tr>{''.join(cells)}</tr>\n"


def _extent(result: Result) -> str:
    if result.image is not None:
        return html_text(result.image.told)
    return area(result.tissue_mm2) if result.scale else "–"


def badge(result: Result) -> str:
    """Return the verdict as a label; its words say all that its color says."""
    if not result.has_verdict:
        return '<span class="badge none">No verdict</span>'
    kind = "hot" if is_suspicious(result) else "cold"
    told = quantity(result.value) if result.value else result.grade or _marked(result)
    return f'<span class="badge {kind}">{html_text(told)}</span>'


def _marked(result: Result) -> str:
    """Return how much was marked, in all where it is of more than one structure."""
    if len(result.structures) == 1:
        return result.structures[0].told
    return f"{len(result.structures)} structures"


def meter(value: float) -> str:
    """Return a probability as a bar and a figure."""
    return (
        f'<span class="meter"><span class="bar" aria-hidden="true"><i style="width:{value * 100:.1f}%"></i></span> '
        f"{escape(probability(value))}</span>"
    )


def refer_mark(result: Result) -> str:
    if not result.has_verdict:
        return "–"
    return '<span class="badge refer">Refer</span>' if result.refer else "no"


def flags(result: Result) -> str:
    return " ".join(
        f'<span class="badge {"refer" if name in _SERIOUS else "flag"}">{html_text(flag(name))}</span>'
        for name in result.flags
    )


def tiles(result: Result) -> str:
    return f"{result.tiles.read:,} of {result.tiles.wanted:,}" if result.tiles.wanted else "–"


def status(result: Result) -> str:
    word = _STATUS[result.status]
    kind = "stopped" if result.status in ("refused", "failed") else "flag" if result.status == "partial" else "plain"
    code = f" <code>{html_text(result.code)}</code>" if result.code else ""
    return f'<span class="badge {kind}">{word}</span>{code}'


def closing() -> str:
    return (
        f"</main>\n<footer><p><strong>{RESEARCH_USE}</strong> The model's card says whether and on whom its probabilities "
        "were calibrated; attention says what the model weighed and is no probability.</p></footer>\n</body>\n</html>\n"
    )
