"""What a model is, in words for people: what it was trained on, what it is for and not for, how often it was right."""

from typing import Any

from wsi.card import Card, MaskCard
from wsi.printable import printable
from wsi.results import Result
from wsi.review.folder import ReviewFolder

Told = dict[str, Any]


def about_model(folder: ReviewFolder) -> Told | None:
    """Return the model of a run; None where nothing says which. Without `has_card` its card isn't here, and its words are empty."""
    made = folder.made()
    if made is None:
        return None
    graded = next((entry.result for entry in folder.entries() if entry.result.classes), None)
    card = folder.card(made)
    return {
        "id": printable(made.model),
        "version": printable(made.model_version),
        "sha256": made.model_sha256,
        "threshold": graded.threshold if graded else None,
        "has_card": card is not None,
        **(_of_card(card) if card else _UNKNOWN),
    }


_UNKNOWN: Told = {
    "title": "",
    "kind": "",
    "trained_on": [],
    "purpose": "",
    "not_for": [],
    "licence": "",
    "evaluation": [],
}


def _of_card(card: Card) -> Told:
    return {
        "title": card.title,
        "kind": "mask" if isinstance(card, MaskCard) else card.head.type,
        "trained_on": card.training.data,
        "purpose": card.use.purpose,
        "not_for": card.use.not_for,
        "licence": card.licence.weights,
        "evaluation": [
            one.model_dump(include={"name", "metric", "value", "low", "high", "n"}) for one in card.evaluation
        ],
    }


def classes_of(results: list[Result]) -> list[Told]:
    """Return the classes of a run's first graded slide, each with its color."""
    graded = next((result for result in results if result.classes), None)
    return [{"name": printable(c.name), "color": c.color} for c in graded.classes] if graded else []


def structures_of(results: list[Result]) -> list[Told]:
    """Return the structures that a run's model marks, each with its color."""
    marked = next((result for result in results if result.structures), None)
    return [{"name": printable(s.name), "color": s.color} for s in marked.structures] if marked else []
