/** Mouse, pen, touch and keys on a pane: pan, zoom, turn; a tool may take the pointer first. */
(function () {
  "use strict";
  const WSI = (window.WSI = window.WSI || {});

  const WHEEL = 0.0016; // of ln(scale) a px of wheel
  const LINE_PX = 24; // of a wheel that counts lines
  const STEP_PX = 90; // of an arrow key

  /** Let a pane follow the pointer; `viewer.tool` may have down, move, up and cancel, which return true to take it. */
  WSI.listenForGestures = function (viewer) {
    const { host, camera } = viewer;
    const touching = new Map();
    let pace = null;
    let pinch = null;

    const placeOf = (event) => {
      const box = host.getBoundingClientRect();
      return { x: event.clientX - box.left, y: event.clientY - box.top };
    };

    const isToolTaking = (name, event) => Boolean(viewer.tool?.[name]?.(placeOf(event), event));

    host.addEventListener("pointerdown", (event) => {
      if (event.target.closest("button, .overview, .caption")) return;
      host.setPointerCapture(event.pointerId);
      touching.set(event.pointerId, placeOf(event));
      camera.rest();
      pinch = touching.size > 1 ? pairOf() : null;
      if (touching.size === 2) viewer.tool?.cancel?.();
      const isMain = event.button === 0 && touching.size === 1;
      pace = isMain && isToolTaking("down", event) ? null : { right: 0, down: 0, when: event.timeStamp };
    });

    host.addEventListener("pointermove", (event) => {
      const before = touching.get(event.pointerId);
      const now = placeOf(event);
      if (before) touching.set(event.pointerId, now);
      if (touching.size > 1) followPinch();
      else if (!isToolTaking("move", event) && before && pace) followDrag(before, now, event.timeStamp);
    });

    for (const kind of ["pointerup", "pointercancel"]) {
      host.addEventListener(kind, (event) => {
        if (!touching.delete(event.pointerId)) return;
        pinch = touching.size > 1 ? pairOf() : null;
        if (isToolTaking("up", event)) return;
        if (!touching.size && pace && event.timeStamp - pace.when < 40) camera.throwBy(pace.right, pace.down);
        viewer.redraw();
      });
    }

    function followDrag(before, now, when) {
      const span = Math.max(when - pace.when, 1);
      const blend = (old, moved) => old * 0.6 + (moved / span) * 0.4;
      pace = { right: blend(pace.right, now.x - before.x), down: blend(pace.down, now.y - before.y), when };
      camera.panBy(now.x - before.x, now.y - before.y);
      viewer.redraw();
    }

    /** The middle of the first two fingers, and how far they are apart. */
    function pairOf() {
      const [one, other] = touching.values();
      return { x: (one.x + other.x) / 2, y: (one.y + other.y) / 2, span: Math.hypot(one.x - other.x, one.y - other.y) };
    }

    function followPinch() {
      const now = pairOf();
      camera.panBy(now.x - pinch.x, now.y - pinch.y);
      const point = camera.toSlide(now.x, now.y);
      camera.scale = camera.limit((camera.scale * now.span) / Math.max(pinch.span, 1));
      const moved = camera.toSlide(now.x, now.y);
      Object.assign(camera, { x: camera.x + point.x - moved.x, y: camera.y + point.y - moved.y });
      pinch = now;
      viewer.redraw();
    }

    host.addEventListener(
      "wheel",
      (event) => {
        event.preventDefault();
        const px = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? event.deltaY * LINE_PX : event.deltaY;
        const { x, y } = placeOf(event);
        camera.zoomAt(Math.exp(-px * WHEEL * (event.ctrlKey ? 5 : 1)), x, y);
        viewer.redraw();
      },
      { passive: false },
    );

    host.addEventListener("dblclick", (event) => {
      if (event.target.closest("button, .overview, .caption") || viewer.tool?.isBusy) return;
      const { x, y } = placeOf(event);
      camera.zoomAt(2, x, y);
      viewer.redraw();
    });

    host.addEventListener("keydown", (event) => {
      const moves = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
      const move = moves[event.key];
      if (!move || event.altKey || event.ctrlKey || event.metaKey || event.target !== host) return;
      event.preventDefault();
      const step = event.shiftKey ? STEP_PX * 4 : STEP_PX;
      camera.panBy(move[0] * step, move[1] * step);
      viewer.redraw();
    });
  };
})();
