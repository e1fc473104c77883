/** Polygons that people draw: points in level-0 px, checked as QuPath checks them, and written as GeoJSON. */
(function () {
  "use strict";
  const WSI = (window.WSI = window.WSI || {});

  const STEPS = 100; // QuPath rounds coordinates to 0.01 px

  const apart = ([x, y], [u, v]) => Math.hypot(x - u, y - v);

  /** Distance of a point from the line between two others. */
  function fromEdge(point, start, end) {
    const [dx, dy] = [end[0] - start[0], end[1] - start[1]];
    const square = dx * dx + dy * dy;
    if (!square) return apart(point, start);
    const along = ((point[0] - start[0]) * dx + (point[1] - start[1]) * dy) / square;
    const t = Math.min(Math.max(along, 0), 1);
    return apart(point, [start[0] + t * dx, start[1] + t * dy]);
  }

  /** Twice the signed area of a triangle. */
  const turn = (a, b, c) => (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);

  const isWithin = (a, b, p) =>
    Math.min(a[0], b[0]) <= p[0] && p[0] <= Math.max(a[0], b[0]) && Math.min(a[1], b[1]) <= p[1] && p[1] <= Math.max(a[1], b[1]);

  function isCrossing(a, b, c, d) {
    const [one, two, three, four] = [turn(a, b, c), turn(a, b, d), turn(c, d, a), turn(c, d, b)];
    if (one * two < 0 && three * four < 0) return true;
    return (
      (one === 0 && isWithin(a, b, c)) ||
      (two === 0 && isWithin(a, b, d)) ||
      (three === 0 && isWithin(c, d, a)) ||
      (four === 0 && isWithin(c, d, b))
    );
  }

  /** Leave out points nearer than `tolerance` to the line without them (Douglas & Peucker 1973). */
  function simplify(points, tolerance) {
    if (points.length < 3) return points;
    const [first, last] = [points[0], points[points.length - 1]];
    let farthest = 0;
    let place = 0;
    for (let at = 1; at < points.length - 1; at += 1) {
      const distance = fromEdge(points[at], first, last);
      if (distance > farthest) [farthest, place] = [distance, at];
    }
    if (farthest <= tolerance) return [first, last];
    return [...simplify(points.slice(0, place + 1), tolerance).slice(0, -1), ...simplify(points.slice(place), tolerance)];
  }

  WSI.shapes = {
    apart,
    simplify,

    /** Area in px² by the shoelace formula. */
    area(points) {
      const sum = points.reduce((total, [x, y], at) => {
        const [u, v] = points[(at + 1) % points.length];
        return total + x * v - u * y;
      }, 0);
      return Math.abs(sum) / 2;
    },

    /** Whether no edge meets another, but for neighbors at their common point. */
    isSimple(points) {
      const count = points.length;
      for (let one = 0; one < count; one += 1) {
        for (let other = one + 2; other < count; other += 1) {
          if (one === 0 && other === count - 1) continue;
          if (isCrossing(points[one], points[one + 1], points[other], points[(other + 1) % count])) return false;
        }
      }
      return true;
    },

    /** Why QuPath would refuse the polygon, in words; empty when it wouldn't. */
    fault(points) {
      if (points.length < 3) return "An outline needs three points or more.";
      if (!this.isSimple(points)) return "The outline crosses itself. Take points back with Backspace.";
      return this.area(points) < 1 ? "The outline encloses nothing." : "";
    },

    /** Whether the point lies inside (even-odd rule). */
    holds(points, [x, y]) {
      let isInside = false;
      points.forEach(([ax, ay], at) => {
        const [bx, by] = points[(at + 1) % points.length];
        if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) isInside = !isInside;
      });
      return isInside;
    },

    /** Index of the edge that is nearer to the point than `reach`, -1 for none. */
    edgeAt(points, point, reach) {
      return points.findIndex((start, at) => fromEdge(point, start, points[(at + 1) % points.length]) < reach);
    },

    /** Return the shapes of a feature that was recorded: its outer rings, open again. */
    ofFeature({ id, geometry, properties }) {
      const polygons = geometry.type === "MultiPolygon" ? geometry.coordinates : [geometry.coordinates];
      return polygons.map(([ring], at) => ({ id: at ? WSI.newId() : (id ?? WSI.newId()), kind: properties?.class ?? "", points: ring.slice(0, -1) }));
    },

    /** Return the shapes as QuPath takes them: closed rings, rounded as it rounds, all keys where it looks for them. */
    collection(shapes, colorOf) {
      const features = shapes.map(({ id, points, kind }) => {
        const ring = points.map((point) => point.map((value) => Math.round(value * STEPS) / STEPS));
        const color = colorOf(kind);
        const classes = kind ? { class: kind, classification: { name: kind, color } } : {};
        return {
          type: "Feature",
          id,
          geometry: { type: "Polygon", coordinates: [[...ring, ring[0]]] },
          properties: { objectType: "annotation", name: kind ? `Drawn: ${kind}` : "Drawn", color, ...classes },
        };
      });
      return { type: "FeatureCollection", features };
    },
  };

  /** Return a random UUID, also where the page isn't in a secure context. */
  WSI.newId = function () {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
  };
})();
