/** How what is being drawn looks: outlines, the points of the selected one, and the line to the pointer. */
(function () {
  "use strict";
  const WSI = (window.WSI = window.WSI || {});

  const POINT_PX = 4.5; // radius of a point
  const MOST_POINTS = 300; // beyond it the points of an outline are too dense to show

  function trace(pen, points, isClosed) {
    pen.beginPath();
    points.forEach(([x, y], at) => (at ? pen.lineTo(x, y) : pen.moveTo(x, y)));
    if (isClosed) pen.closePath();
  }

  function stroke(pen, px, color, width) {
    pen.lineJoin = pen.lineCap = "round";
    pen.strokeStyle = "rgb(255 255 255 / 0.85)";
    pen.lineWidth = (width + 2.5) * px;
    pen.stroke();
    pen.strokeStyle = color;
    pen.lineWidth = width * px;
    pen.stroke();
  }

  function dots(pen, points, px, color) {
    pen.fillStyle = "white";
    pen.strokeStyle = color;
    pen.lineWidth = 1.8 * px;
    for (const [x, y] of points) {
      pen.beginPath();
      pen.arc(x, y, POINT_PX * px, 0, 2 * Math.PI);
      pen.fill();
      pen.stroke();
    }
  }

  /** Draw what a Draw holds under the camera's transform; `px`: level-0 px a CSS px. */
  WSI.ink = function (draw, pen, px, colorOf) {
    draw.shapes.forEach((shape, index) => {
      const color = WSI.words.color(colorOf(shape.kind));
      trace(pen, shape.points, true);
      if (index === draw.selected) {
        pen.fillStyle = "rgb(255 255 255 / 0.12)";
        pen.fill();
      }
      stroke(pen, px, color, index === draw.selected ? 3 : 2.2);
      if (index === draw.selected && shape.points.length <= MOST_POINTS) dots(pen, shape.points, px, color);
    });
    if (!draw.draft?.length) return;
    const color = WSI.words.color(colorOf(draw.kind));
    const isFollowing = draw.cursor && !draw.pressed;
    trace(pen, isFollowing ? [...draw.draft, draw.cursor] : draw.draft, false);
    stroke(pen, px, color, 2.2);
    dots(pen, draw.stroke ? draw.draft.slice(0, 1) : draw.draft, px, color);
  };
})();
