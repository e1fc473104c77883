/** Where a pane looks: a point of the slide at the middle, a scale and a turn, and how they move. */
(function () {
  "use strict";
  const WSI = (window.WSI = window.WSI || {});

  const ZOOM_MS = 70; // time constant of zooming and turning
  const GLIDE_MS = 160; // of coming to rest after a throw
  const CLOSEST = 8; // CSS px a level-0 px
  const ARC = 1.4; // how far a flight rises: rho of van Wijk & Nuij

  /**
   * Return the smoothest way from one view to another, as a function of 0-1, and its length.
   *
   * Source: van Wijk & Nuij 2003, Smooth and efficient zooming and panning, eq. 9; widths and lengths in level-0 px.
   */
  function flight(distance, from, to) {
    if (distance < 1e-3 * Math.min(from, to)) {
      const length = Math.abs(Math.log(to / from)) / ARC;
      return { length, at: (t) => ({ along: t, width: from * (to / from) ** t }) };
    }
    const square = ARC * ARC;
    const start = (to ** 2 - from ** 2 + square ** 2 * distance ** 2) / (2 * from * square * distance);
    const end = (to ** 2 - from ** 2 - square ** 2 * distance ** 2) / (2 * to * square * distance);
    const first = Math.asinh(-start);
    const length = (Math.asinh(-end) - first) / ARC;
    return {
      length,
      at(t) {
        const s = ARC * t * length + first;
        const along = (from / square) * (Math.cosh(first) * Math.tanh(s) - Math.sinh(first));
        return { along: along / distance, width: (from * Math.cosh(first)) / Math.cosh(s) };
      },
    };
  }

  class Camera {
    /** x, y: level-0 px at the middle; scale: CSS px a level-0 px; rotation: radians, clockwise. */
    constructor() {
      Object.assign(this, { x: 0, y: 0, scale: 1, rotation: 0, spin: null, width: 1, height: 1 });
      this.bounds = { x: 0, y: 0, width: 1, height: 1 }; // level-0 px that hold the scan
      this.rest();
    }

    /** Stop all motion; a turn is done at once, as one half done would leave the slide askew. */
    rest() {
      this.rotation = this.spin ?? this.rotation;
      Object.assign(this, { zoom: null, spin: null, glide: null, flying: null });
    }

    get isMoving() {
      return Boolean(this.zoom || this.spin || this.glide || this.flying);
    }

    /** Scale at which the whole slide is seen, turned as it is or is about to be. */
    get fitting() {
      const rotation = this.spin ?? this.rotation;
      const [cos, sin] = [Math.abs(Math.cos(rotation)), Math.abs(Math.sin(rotation))];
      const { width, height } = this.bounds;
      return 0.94 * Math.min(this.width / (cos * width + sin * height), this.height / (sin * width + cos * height));
    }

    limit(scale) {
      const least = Math.min(this.fitting / 2, CLOSEST);
      return Math.min(Math.max(scale, least), Math.max(CLOSEST, this.fitting));
    }

    /** From level-0 px to CSS px of the pane: the six numbers of a canvas transform. */
    matrix() {
      const cos = Math.cos(this.rotation) * this.scale;
      const sin = Math.sin(this.rotation) * this.scale;
      const left = this.width / 2 - (cos * this.x - sin * this.y);
      const top = this.height / 2 - (sin * this.x + cos * this.y);
      return [cos, sin, -sin, cos, left, top];
    }

    toScreen(x, y) {
      const [a, b, c, d, e, f] = this.matrix();
      return { x: a * x + c * y + e, y: b * x + d * y + f };
    }

    toSlide(x, y) {
      const cos = Math.cos(this.rotation) / this.scale;
      const sin = Math.sin(this.rotation) / this.scale;
      const right = x - this.width / 2;
      const down = y - this.height / 2;
      return { x: this.x + cos * right + sin * down, y: this.y - sin * right + cos * down };
    }

    /** The box of level-0 px that holds all that is seen. */
    seen() {
      const corners = [
        [0, 0],
        [this.width, 0],
        [0, this.height],
        [this.width, this.height],
      ].map(([x, y]) => this.toSlide(x, y));
      const xs = corners.map((corner) => corner.x);
      const ys = corners.map((corner) => corner.y);
      return { left: Math.min(...xs), top: Math.min(...ys), right: Math.max(...xs), bottom: Math.max(...ys) };
    }

    /** Keep the middle on the slide. */
    hold() {
      const { x, y, width, height } = this.bounds;
      this.x = Math.min(Math.max(this.x, x), x + width);
      this.y = Math.min(Math.max(this.y, y), y + height);
    }

    /** Look at the whole slide at once. */
    fit() {
      this.rest();
      Object.assign(this, { ...this.middle, scale: this.fitting });
    }

    /** The middle of the scan. */
    get middle() {
      const { x, y, width, height } = this.bounds;
      return { x: x + width / 2, y: y + height / 2 };
    }

    /** Move what is seen by CSS px. */
    panBy(right, down) {
      this.flying = null;
      this.glide = null;
      this.shift(right, down);
    }

    shift(right, down) {
      const middle = this.toSlide(this.width / 2 - right, this.height / 2 - down);
      Object.assign(this, middle);
      this.hold();
    }

    /** Let a thrown slide come to rest; velocity in CSS px a ms. */
    throwBy(right, down) {
      if (!WSI.still() && Math.hypot(right, down) > 0.15) this.glide = { right, down };
    }

    /** Zoom so that the slide's point under (x, y) in CSS px stays there. */
    zoomAt(factor, x, y) {
      this.flying = null;
      const target = this.limit((this.zoom ? this.zoom.target : this.scale) * factor);
      this.zoom = { target, x, y, point: this.toSlide(x, y) };
      if (WSI.still()) this.stepZoom(Infinity);
    }

    rotateBy(radians) {
      this.spin = (this.spin ?? this.rotation) + radians;
      if (WSI.still()) this.stepSpin(Infinity);
    }

    /** Go to a point at a scale, along the smoothest way. */
    flyTo({ x, y, scale }) {
      Object.assign(this, { zoom: null, glide: null });
      const goal = this.limit(scale);
      if (WSI.still()) {
        Object.assign(this, { x, y, scale: goal });
        return this.hold();
      }
      const distance = Math.hypot(x - this.x, y - this.y);
      const way = flight(distance, this.width / this.scale, this.width / goal);
      const span = Math.min(Math.max(way.length * 280, 220), 950);
      this.flying = { way, span, spent: 0, from: { x: this.x, y: this.y }, to: { x, y, scale: goal } };
      return undefined;
    }

    /** Move on by `ms`; return whether anything moved. */
    step(ms) {
      if (!this.isMoving) return false;
      if (this.flying) this.stepFlight(ms);
      if (this.zoom) this.stepZoom(ms);
      if (this.spin !== null) this.stepSpin(ms);
      if (this.glide) this.stepGlide(ms);
      return true;
    }

    stepFlight(ms) {
      const { way, span, from, to } = this.flying;
      this.flying.spent += ms;
      const t = Math.min(this.flying.spent / span, 1);
      const eased = t * t * (3 - 2 * t);
      const { along, width } = way.at(eased);
      this.x = from.x + (to.x - from.x) * along;
      this.y = from.y + (to.y - from.y) * along;
      this.scale = this.width / width;
      if (t < 1) return;
      Object.assign(this, to);
      this.flying = null;
      this.hold();
    }

    stepZoom(ms) {
      const { target, x, y, point } = this.zoom;
      const left = Math.log(target / this.scale) * Math.exp(-ms / ZOOM_MS);
      const isThere = Math.abs(left) < 1e-3;
      this.scale = isThere ? target : target / Math.exp(left);
      const now = this.toSlide(x, y);
      this.x += point.x - now.x;
      this.y += point.y - now.y;
      this.hold();
      if (isThere) this.zoom = null;
    }

    stepSpin(ms) {
      const left = (this.spin - this.rotation) * Math.exp(-ms / ZOOM_MS);
      const isThere = Math.abs(left) < 1e-3;
      this.rotation = isThere ? this.spin : this.spin - left;
      if (isThere) this.spin = null;
    }

    stepGlide(ms) {
      const { right, down } = this.glide;
      this.shift(right * ms, down * ms);
      const slower = Math.exp(-ms / GLIDE_MS);
      const isResting = Math.hypot(right, down) < 0.02;
      this.glide = isResting ? null : { right: right * slower, down: down * slower };
    }
  }

  WSI.Camera = Camera;
})();
