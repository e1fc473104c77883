"""What was found about shortcuts, for people and for programs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wsi.evaluate import Figure
from wsi.table import SHOWN
from wsi.train.cohort import Cohort
from wsi.train.evidence import Trial
from wsi.train.sections import Section, as_markdown, as_text
from wsi.train.shortcuts import Probe


@dataclass(frozen=True, slots=True)
class ShortcutReport:
    """Probes of trivial traits, and trials of a model without its evidence (none when no model was asked for)."""

    cohort: Cohort
    probes: tuple[Probe, ...]
    trials: tuple[Trial, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return what a person must know before believing a figure of a model on these data."""
        return tuple(self._warnings())

    def _warnings(self) -> Iterator[str]:
        for probe in self.probes:
            if probe.warns:
                yield (
                    f"{probe.trait} alone tells {probe.target}: {probe.figure.name} {probe.figure.text()}; "
                    "a model that gets no further may have learnt no more"
                )
        for trial in self.trials:
            if trial.warning:
                yield f"the model {trial.what} still tells {trial.target}: {trial.figure.text()}; {trial.warning}"

    def text(self) -> str:
        """Return the report for a terminal."""
        return as_text(self._sections())

    def markdown(self) -> str:
        """Return the report as Markdown."""
        return as_markdown(self._sections())

    def rows(self) -> list[dict[str, object]]:
        """Return one record a figure, for programs."""
        probes = [{"trait": p.trait, "target": p.target, "warns": p.warns, **_numbers(p.figure)} for p in self.probes]
        trials = [
            {"model": t.what, "target": t.target, "warns": bool(t.warning), **_numbers(t.figure)} for t in self.trials
        ]
        return [*probes, *trials]

    def _sections(self) -> Iterator[Section]:
        patients = len({case.patient for case in self.cohort.cases})
        yield Section("Warnings", (), self.warnings or ("none",))
        head = ("trait", "target", "figure", "of", "")
        rows = [(p.trait, p.target, *_shown(p.figure), "warning" if p.warns else "") for p in self.probes]
        title = f"Traits alone ({len(self.cohort)} cases, {patients} patients; tested by patient)"
        yield Section(title, (head, *rows))
        if self.trials:
            head = ("the model", "target", "figure", "of", "")
            rows = [(t.what, t.target, *_shown(t.figure), "warning" if t.warning else "") for t in self.trials]
            yield Section("The model without its evidence", (head, *rows))
        messages = [finding.message for finding in self.cohort.findings]
        rest = [f"… and {len(messages) - SHOWN} more"] if len(messages) > SHOWN else []
        if messages:
            yield Section("Findings", (), (*messages[:SHOWN], *rest))


def _shown(figure: Figure) -> Sequence[str]:
    return f"{figure.name} {figure.text()}", figure.denominator


def _numbers(figure: Figure) -> dict[str, object]:
    return {
        "figure": figure.name,
        "value": figure.value,
        "low": figure.low,
        "high": figure.high,
        "n": figure.n,
        "reason": figure.reason,
    }
