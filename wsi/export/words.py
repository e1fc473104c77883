"""Plain words for people: the same verdict, in the same words, in every file."""

import math

from wsi.export.suspicion import exclude_each_other
from wsi.printable import figure, printable
from wsi.results import RESEARCH_USE, AlsoVerdict, Result, Value

REFER = "Refer to a pathologist"
REFER_IMAGE = "Refer to a specialist"
"""Of an image that isn't a slide."""

NEXT_STEP = {
    "E_UNREADABLE": "Check that the file is whole: open it in QuPath, or copy it again from the scanner.",
    "E_ABSENT": "Bring the slide back to its place, or name the folder that it lies in now.",
    "E_FORMAT": "Convert the slide to SVS, DICOM or OME-TIFF with 8-bit RGB tiles.",
    "E_REGION": "Copy the slide again from the scanner; part of it can't be decoded.",
    "E_MODALITY": "Leave it out, or run it by itself with a model of such images: `wsi-run models list` says what each reads.",
    "E_MPP_MISSING": "Give the pixel size in µm with --mpp, or a table of them with --mpp-table.",
    "E_MPP_RANGE": "Give the true pixel size in µm with --mpp and --mpp-override.",
    "E_MPP_CONFLICT": "Find out which pixel size is true and give it with --mpp and --mpp-override.",
    "E_RESOLUTION": "Scan the slide at a higher magnification, bring the image to the size that the reason names, or use another model.",
    "E_TOO_LARGE": "Check the file: the size that it claims can't be true.",
    "E_CHANGED": "Run again when nothing writes to the slide any more.",
    "E_NO_TISSUE": "Look at the thumbnail; draw the tissue in QuPath and pass it with --tissue if there is some.",
    "E_LOSS": "Copy the slide again from the scanner: too many of its tiles can't be read.",
    "E_ANNOTATION": "Export the polygons from QuPath again, as GeoJSON.",
    "E_ARTIFACT": "Run this slide again: one of its result files is missing or damaged.",
    "E_NOSPACE": "Free some space on the disk and run the same command again.",
    "E_CRASH": "Run again; if the slide fails again, copy it from the scanner once more.",
    "E_TIMEOUT": "Run again with a larger engine.stall_s, or copy the slide to a faster disk.",
    "E_MEMORY": "Run again with a larger engine.reader_memory_gb.",
}
LIKELIER = 0.5
"""A class of two from here on is likelier than the other."""
_ELSE = "Run the same command again; if it fails again, report the code and the reason."

FLAGS = {
    "blur": "out of focus",
    "pen": "pen marks",
    "fold": "tissue folds",
    "bubble": "air bubbles",
    "stain": "unusual stain",
    "out-of-distribution": "unlike the slides the model learned from",
    "unreadable-tiles": "some tiles can't be read",
    "few-tiles": "little tissue",
    "unusual-amount": "more or less than the model was tested on",
}


def probability(value: float) -> str:
    """Return a probability with two decimals; never a false 0.00 or 1.00."""
    if value < 0.01:
        return "< 0.01"
    return "> 0.99" if value > 0.99 else f"{value:.2f}"


def area(mm2: float) -> str:
    """Return an area in mm² for reading."""
    return f"{mm2:.0f} mm²" if mm2 >= 9.95 else f"{mm2:#.2g} mm²" if mm2 else "0 mm²"


def next_step(code: str) -> str:
    """Return what a person can do about an error code."""
    return NEXT_STEP.get(code, _ELSE)


def flag(name: str) -> str:
    """Return a flag in words."""
    return FLAGS.get(name, name)


def positive_probability(result: Result) -> float | None:
    """Return the probability of the positive class, None when there is no verdict."""
    return next((c.probability for c in result.classes if c.name == result.positive), None)


def quantity_name(value: Value) -> str:
    """Return what a value is, with its unit: `Ki-67 index (%)`."""
    return printable(f"{value.name} ({value.unit})" if value.unit else value.name)


def quantity(value: Value) -> str:
    """Return a value with its unit: `23.4 %`."""
    return printable(f"{figure(value.value)} {value.unit}" if value.unit else figure(value.value))


def verdict(result: Result) -> str:
    """Return the verdict in one line: `Malignant, P(Malignant) = 0.93`, `Ki-67 index = 23.4 %`, or that there is none.

    Of a model that marks structures `Liver: 1,480 ml`; what a model says besides comes after a semicolon.
    """
    if result.value is not None:
        return f"{printable(result.value.name)} = {quantity(result.value)}"
    if result.structures:
        return ", ".join(f"{printable(one.name)}: {one.told}" for one in result.structures)
    if result.grade is None:
        return "No verdict"
    return "; ".join([graded(result), *(also(one) for one in result.also)])


def also(one: AlsoVerdict) -> str:
    """Return a second verdict in one line: `Macular edema: yes, P(yes) = 0.81`."""
    return f"{printable(one.title)}: {graded(one)}"


def graded(told: Result | AlsoVerdict) -> str:
    """Return a grade and the probability beside it: `Malignant, P(Malignant) = 0.93`.

    Where a threshold gave it, and not what is likelier, that is said: `no, P(yes) = 0.76 (below the threshold of 0.85)`.
    """
    found = beside_grade(told)
    if found is None:
        return printable(told.grade or "")
    name, value = found
    said = probability(value)
    told_of = f"{printable(told.grade or '')}, P({printable(name)}) {said if said[0] in '<>' else f'= {said}'}"
    limit = told.threshold
    if limit is None or name != told.positive or (value >= LIKELIER) == (value >= limit):
        return told_of
    return f"{told_of} ({'at or above' if value >= limit else 'below'} the threshold of {limit:.3g})"


def beside_grade(told: Result | AlsoVerdict) -> tuple[str, float] | None:
    """Return the class whose probability stands beside a grade, and that probability; None where there is none.

    The positive one of two classes and of labels; of more classes that exclude each other the one that was graded:
    `severe, P(proliferative) = 0.30` would tell of another.
    """
    name = told.grade if len(told.classes) > 2 and exclude_each_other(told) else told.positive
    return next(((c.name, c.probability) for c in told.classes if c.name == name), None)


def referral(result: Result) -> str:
    """Return whether a person must look, and why; empty when nothing asks for it."""
    if not result.refer:
        return ""
    whom = REFER if result.image is None else REFER_IMAGE
    return f"{whom}: {printable(result.refer_reason)}" if result.refer_reason else whom


def model_hash(result: Result) -> str:
    """Return the sha256 of the model that made this, empty when there was none."""
    return result.provenance.model_sha256 if result.provenance else ""


def notice(result: Result) -> str:
    """Return the line every file carries: research use only, and which model."""
    made = result.provenance
    if made is None or not made.model:
        return RESEARCH_USE
    return f"{RESEARCH_USE} Model {printable(made.model)} {printable(made.model_version)}, {made.model_sha256[:12]}"


def round_length(most_um: float) -> float:
    """Return the largest 1, 2 or 5 times a power of ten that is at most `most_um`."""
    power = 10.0 ** math.floor(math.log10(most_um))
    return max(step * power for step in (1, 2, 5) if step * power <= most_um * (1 + 1e-9))
