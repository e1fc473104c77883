"""How suspicious a slide is: what the report and the review page put first, by the same measure."""

from wsi.results import AlsoVerdict, Result

_SUM_SLACK = 1e-3


def suspicion(result: Result) -> float | None:
    """Return how suspicious a slide is, 0-1; None without a verdict.

    Of a model with two classes the probability of the positive one. Of more classes that exclude each other, kinds or
    rising grades, 1 less the probability of the first, which cards list the harmless one as. Of labels that don't, the
    highest. Of a quantity, a log hazard or a risk, where it lies between what is shown as cold and as hot.
    """
    if result.value is not None:
        share = (result.value.value - result.value.low) / (result.value.high - result.value.low)
        return min(1.0, max(0.0, share))
    if not result.has_verdict or not result.classes:
        return None
    probabilities = [c.probability for c in result.classes]
    if len(probabilities) == 1 or not exclude_each_other(result):
        return max(probabilities)
    positive = next((c.probability for c in result.classes if c.name == result.positive), None)
    if len(probabilities) == 2 and positive is not None:
        return positive
    return 1 - probabilities[0]


def is_suspicious(result: Result) -> bool:
    """Return whether a slide counts as suspicious: by its own verdict, or by what the model says besides."""
    return result.is_positive or _is_hot(result) or any(_is_hot(one) for one in result.also)


def _is_hot(told: Result | AlsoVerdict) -> bool:
    """Return whether a grade is the positive one of two, or of more that exclude each other another than the first."""
    if told.grade is None or not exclude_each_other(told):
        return False
    return told.grade == told.positive if len(told.classes) == 2 else told.grade != told.classes[0].name


def exclude_each_other(told: Result | AlsoVerdict) -> bool:
    """Return whether only one of two or more classes can be true: one was graded, and their probabilities sum to 1.

    Those of labels may sum to 1 by chance; they are told as labels, or none of them is.
    """
    classes = told.classes
    graded = not told.labels and told.grade in {c.name for c in classes}
    return graded and len(classes) > 1 and abs(sum(c.probability for c in classes) - 1) <= _SUM_SLACK
