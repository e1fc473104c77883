/** Outlines of tissue, of regions that the model found, and of what people drew before. */
(function () {
  "use strict";
  const WSI = (window.WSI = window.WSI || {});

  const DASHES = { tissue: [], region: [], structure: [], drawn: [8, 5] };
  const WIDTHS = { tissue: 1.2, region: 1.8, structure: 1, drawn: 2.6 }; // CSS px
  const SHARE = 0.4; // of a structure's px that is its color
  const COLORS = { tissue: [20, 24, 28], region: [154, 52, 18], drawn: [11, 107, 115] };

  /** Return the path of a GeoJSON Polygon or MultiPolygon in level-0 px. */
  WSI.pathOf = function (geometry) {
    const path = new Path2D();
    const polygons = geometry.type === "Polygon" ? [geometry.coordinates] : geometry.coordinates;
    for (const ring of polygons.flat()) {
      ring.forEach(([x, y], place) => (place ? path.lineTo(x, y) : path.moveTo(x, y)));
      path.closePath();
    }
    return path;
  };

  /** Fill what a model marked, so that what lies below shows through: a seam would hide thin structures. */
  function fill(context, path, color, width) {
    context.save();
    context.fillStyle = context.strokeStyle = color;
    context.globalAlpha = SHARE;
    context.fill(path, "evenodd");
    context.globalAlpha = 1;
    context.lineWidth = width;
    context.stroke(path);
    context.restore();
  }

  class Outlines {
    constructor(collection) {
      this.lines = (collection?.features ?? []).map(({ geometry, properties }) => ({
        path: WSI.pathOf(geometry),
        kind: properties.kind,
        color: WSI.words.color(properties.color ?? COLORS[properties.kind] ?? COLORS.tissue),
      }));
    }

    /** Draw under the camera's transform; `px`: level-0 px a CSS px. A light seam sets each line off from the tissue. */
    draw(context, px) {
      context.lineJoin = "round";
      for (const { path, kind, color } of this.lines) {
        const width = WIDTHS[kind] ?? 1.2;
        context.setLineDash([]);
        if (kind === "structure") {
          fill(context, path, color, width * px);
          continue;
        }
        context.strokeStyle = "rgb(255 255 255 / 0.75)";
        context.lineWidth = (width + 2) * px;
        context.stroke(path);
        context.setLineDash((DASHES[kind] ?? []).map((dash) => dash * px));
        context.strokeStyle = color;
        context.lineWidth = width * px;
        context.stroke(path);
      }
      context.setLineDash([]);
    }
  }

  WSI.Outlines = Outlines;
})();
