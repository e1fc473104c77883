"""A verdict as it is kept in stages.json."""

from wsi.engine.recipe import Recipe
from wsi.predict import Verdict


def verdict_facts(verdict: Verdict, recipe: Recipe) -> dict[str, object]:
    """Return the facts of the stage predict."""
    facts: dict[str, object] = {
        "classes": [score.model_dump() for score in verdict.classes],
        "positive": verdict.positive,
        "grade": verdict.grade,
        "labels": list(verdict.labels),
        "confidence": verdict.confidence,
        "value": verdict.value.model_dump() if verdict.value else None,
        "survival": verdict.survival.model_dump() if verdict.survival else None,
        "refer": verdict.refer,
        "refer_reason": verdict.refer_reason,
        "flags": list(verdict.flags),
        "threshold": verdict.threshold,
        "out_of_distribution": verdict.out_of_distribution,
        "model": {"id": recipe.model_id, "version": recipe.model_version, "sha256": recipe.model_sha256},
    }
    if verdict.also:
        facts["also"] = [one.model_dump() for one in verdict.also]
    return facts
