"""report.html of an evaluation: one file that opens anywhere, without a script and without anything from elsewhere."""

from pathlib import Path

from wsi.evaluate.chart import Chart, subgroup_charts
from wsi.evaluate.class_charts import class_charts
from wsi.evaluate.compare import Comparison
from wsi.evaluate.figure import Figure
from wsi.evaluate.number_charts import number_charts
from wsi.evaluate.section import Section
from wsi.evaluate.sheet import Contest, Sheet
from wsi.evaluate.study import Study
from wsi.printable import html_text
from wsi.results import RESEARCH_USE

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_HEADLINE = {
    "binary": ("AUC", "Sensitivity", "Specificity", "Calibration error (ECE)"),
    "multiclass": ("AUC (macro, one vs rest)", "Balanced accuracy", "Accuracy", "Calibration error (ECE)"),
    "ordinal": ("Quadratic kappa", "Balanced accuracy", "AUC (macro, one vs rest)", "Calibration error (ECE)"),
    "regression": ("MAE", "R2", "Pearson"),
    "survival": ("C (Harrell)", "C (Uno)", "Brier score (integrated)"),
}
_NAMED = 200
"""Cases of each reason that are named; the rest are counted."""


def page(sheet: Sheet, *, source: str) -> str:
    """Return the report; source: the names of the files that it was made from."""
    study = sheet.study
    style = Path(__file__).with_name("report.css").read_text(encoding="utf-8")
    charts = class_charts(sheet) if study.has_classes else number_charts(sheet)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>Evaluation: {html_text(study.target)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f"<header><h1>Evaluation: {html_text(study.target)}</h1>\n"
        f'<p class="about">{_about(study)} {html_text(source)}</p>\n'
        f'<p class="notice" role="note"><strong>{RESEARCH_USE}</strong>{_caution(study)}</p>\n'
        f"{_cards(sheet)}</header>\n<main>\n{_figures(sheet.sections)}{_plots('Plots', charts)}"
        f"{_contests(sheet.contests)}{_plots('Subgroups', subgroup_charts(sheet))}{_left_out(study)}</main>\n"
        f"{_footer()}</body>\n</html>\n"
    )


def _about(study: Study) -> str:
    patients = len(set(study.patients))
    of = f" of {patients} patients" if patients < study.n else ""
    classes = f": {html_text(', '.join(study.classes))}" if study.classes else ""
    return f"{study.n} cases{of}; {study.kind} target{classes}."


def _caution(study: Study) -> str:
    left = sum(len(one.cases) for one in study.left_out)
    told = [f"{left} cases are in no figure; see the end of the page."] if left else []
    return "".join(f" {html_text(note)}" for note in (*told, *study.notes))


def _cards(sheet: Sheet) -> str:
    known = {figure.name: figure for section in sheet.sections for figure in section.figures}
    items = "".join(_card(known[name]) for name in _HEADLINE[sheet.study.kind] if name in known)
    return f'<ul class="cards">{items}</ul>\n'


def _card(figure: Figure) -> str:
    if figure.value is None:
        return (
            f'<li class="none"><span>{html_text(figure.name)}</span><b>not estimable</b>'
            f"<span>{html_text(figure.reason)}</span></li>"
        )
    interval = "" if figure.low is None or figure.high is None else f"{figure.low:.3f} to {figure.high:.3f}, "
    of = figure.denominator
    if figure.count is None:
        of = f"{figure.n} cases" + of.removeprefix(f"{figure.n}")
    return f"<li><span>{html_text(figure.name)}</span><b>{figure.value:.3f}</b><span>{interval}{of}</span></li>"


def _figures(sections: tuple[Section, ...]) -> str:
    rows = "".join(
        f'<tr class="group"><th colspan="5" scope="colgroup"><b>{html_text(section.title)}</b>'
        f"<span>{html_text(section.note)}</span></th></tr>{''.join(map(_figure_row, section.figures))}"
        for section in sections
    )
    head = "".join(
        f'<th scope="col">{one}</th>' for one in ("Figure", "Value", "95 % interval", "Count of cases", "How")
    )
    return (
        '<section aria-labelledby="figures"><h2 id="figures">Figures</h2><div class="panel scroll"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></section>\n"
    )


def _figure_row(figure: Figure) -> str:
    name = f'<th scope="row">{html_text(figure.name)}</th>'
    cases = f'<td class="number">{figure.denominator}</td>'
    if figure.value is None:
        return (
            f'<tr>{name}<td colspan="2" class="none">not estimable</td>{cases}<td>{html_text(figure.reason)}</td></tr>'
        )
    interval = "–" if figure.low is None or figure.high is None else f"{figure.low:.3f} to {figure.high:.3f}"
    how = "; ".join(part for part in (figure.method, figure.reason) if part)
    return (
        f'<tr>{name}<td class="number value">{figure.value:.3f}</td><td class="number">{interval}</td>{cases}'
        f'<td class="method">{html_text(how)}</td></tr>'
    )


def _plots(title: str, charts: list[Chart]) -> str:
    if not charts:
        return ""
    items = "".join(
        f'<figure class="panel{" wide" if chart.wide else ""}"><h3>{html_text(chart.title)}</h3>{chart.body}'
        f"<figcaption>{html_text(chart.note)}</figcaption></figure>\n"
        for chart in charts
    )
    mark = title.lower()
    return (
        f'<section aria-labelledby="{mark}"><h2 id="{mark}">{title}</h2><div class="charts">\n{items}</div></section>\n'
    )


def _contests(contests: tuple[Contest, ...]) -> str:
    if not contests:
        return ""
    rows = "".join(_contest_rows(contest) for contest in contests)
    head = "".join(
        f'<th scope="col">{one}</th>' for one in ("Figure", "This model", "The other", "Difference", "p", "How")
    )
    return (
        '<section aria-labelledby="against"><h2 id="against">Against other models, on the same cases</h2>'
        f'<div class="panel scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></section>\n'
    )


def _contest_rows(contest: Contest) -> str:
    without = f"; left out, for only one of the two predicted them: {contest.without}" if contest.without else ""
    head = (
        f'<tr class="group"><th colspan="6" scope="colgroup"><b>{html_text(contest.name)}</b>'
        f"<span>{contest.other.n} shared cases{without}</span></th></tr>"
    )
    return head + "".join(map(_comparison_row, contest.comparisons))


def _comparison_row(one: Comparison) -> str:
    p = "–" if one.p is None else "< 0.001" if one.p < 0.001 else f"{one.p:.3f}"
    cells = "".join(f'<td class="number">{html_text(f.text())}</td>' for f in (one.first, one.second))
    why = "; ".join(part for part in (one.method, one.difference.reason) if part)
    return (
        f'<tr><th scope="row">{html_text(one.first.name)}</th>{cells}<td class="number value">'
        f'{html_text(one.difference.text())}</td><td class="number">{p}</td><td class="method">{html_text(why)}</td></tr>'
    )


def _left_out(study: Study) -> str:
    if not study.left_out:
        return ""
    items = "".join(
        f"<details><summary>{len(one.cases)}: {html_text(one.why)}</summary>"
        f"<p>{html_text(', '.join(one.cases[:_NAMED]))}{_more(len(one.cases))}</p></details>"
        for one in study.left_out
    )
    return (
        '<section aria-labelledby="out"><h2 id="out">Cases that are in no figure</h2>'
        f'<div class="panel">{items}</div></section>\n'
    )


def _more(count: int) -> str:
    return f" and {count - _NAMED} more" if count > _NAMED else ""


def _footer() -> str:
    return (
        f"<footer><p><strong>{RESEARCH_USE}</strong> Intervals are 95 %; where patients have several cases, they are of "
        "patients. The count is of positive cases for an AUC, of hits for a share, of events for survival. What is not estimable is said with its reason, and is never 0. figures.json and figures.csv have all "
        "digits.</p></footer>\n"
    )
