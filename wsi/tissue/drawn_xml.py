"""Areas in the XML of ASAP and of ImageScope, read as a stream, so that only their points are ever held."""

from xml.parsers import expat

from wsi.tissue.areas import MAX_POINTS, Annotation, annotation, ellipse, polygon

_ASAP, _IMAGESCOPE = "ASAP_Annotations", "Annotations"
_ASAP_AREAS = ("Polygon", "Spline", "Rectangle")
_FREEHAND, _RECTANGLE, _ELLIPSE = "0", "1", "2"


def xml_areas(content: bytes) -> list[Annotation]:
    """Return the areas of a file of either kind; dots, arrows and rulers are passed over.

    Raises:
        ValueError, expat.ExpatError: it is something else, damaged, or defines entities, as XML bombs do.
    """
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = reader.refuse
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.Parse(content, True)
    return reader.found


class _Reader:
    """What the stream has said so far."""

    def __init__(self) -> None:
        self.found: list[Annotation] = []
        self._root = ""
        self._layer = ""
        self._shape: dict[str, str] | None = None
        self._points: list[tuple[float, float, float]] = []
        self._count = 0

    def refuse(self, *_: object) -> None:
        raise ValueError("it has a DOCTYPE, which annotations never need")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if not self._root:
            if tag not in (_ASAP, _IMAGESCOPE):
                raise ValueError(f"its root is <{tag:.40}>")
            self._root = tag
        elif tag == "Annotation" and self._root == _IMAGESCOPE:
            self._layer = attributes.get("Name", "")
        elif tag == ("Annotation" if self._root == _ASAP else "Region"):
            self._shape, self._points = attributes, []
        elif tag in ("Coordinate", "Vertex") and self._shape is not None:
            self._add(attributes)

    def end(self, tag: str) -> None:
        if self._shape is None or tag not in ("Annotation", "Region"):
            return
        area = self._asap(self._shape) if self._root == _ASAP else self._region(self._shape)
        self.found += [area] if area else []
        self._shape, self._points = None, []

    def _add(self, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > MAX_POINTS:
            raise ValueError(f"it has more than {MAX_POINTS:,} points")
        order = float(attributes.get("Order", self._count))
        self._points.append((order, float(attributes.get("X", "nan")), float(attributes.get("Y", "nan"))))

    def _asap(self, shape: dict[str, str]) -> Annotation | None:
        if shape.get("Type") not in _ASAP_AREAS:
            return None
        outline = [(x, y) for _, x, y in sorted(self._points, key=lambda point: point[0])]
        return annotation([polygon(outline)], shape.get("Name", ""), shape.get("PartOfGroup", ""))

    def _region(self, shape: dict[str, str]) -> Annotation | None:
        outline, kind = [(x, y) for _, x, y in self._points], shape.get("Type", _FREEHAND)
        if kind not in (_FREEHAND, _RECTANGLE, _ELLIPSE):
            return None
        polygon(outline)  # checks the coordinates
        if kind == _ELLIPSE and outline:
            outline = ellipse(outline)
        elif kind == _RECTANGLE and len(outline) == 2:
            (x0, y0), (x1, y1) = outline
            outline = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
        excluded = shape.get("NegativeROA", "0") == "1"
        return annotation([polygon(outline)], shape.get("Text", ""), self._layer, excluded=excluded)
