/** The drawing tool: click points or draw freehand, then move, add and take away points of what was drawn. */
(function () {
  "use strict";
  const WSI = (window.WSI = window.WSI || {});
  const { apart } = WSI.shapes;

  const REACH_PX = 9; // CSS px around a point that count as on it
  const FINGER_PX = 18;
  const FREEHAND_PX = 4; // between the points of a freehand line
  const STROKE_POINTS = 12; // a longer freehand line closes by itself
  const SMOOTH_PX = 0.8; // that a freehand line may move when points are left out
  const UNDO_STEPS = 50;

  class Draw {
    /** @param {Viewer} viewer @param {function(): void} onChange after shapes or the mode changed */
    constructor(viewer, onChange) {
      Object.assign(this, { viewer, onChange, shapes: [], past: [], kind: "", isOn: false });
      Object.assign(this, { draft: null, stroke: 0, selected: -1, held: -1, cursor: null, pressed: null });
      viewer.tool = this;
      viewer.host.addEventListener("dblclick", () => this.isOn && this.close());
    }

    get isBusy() {
      return this.isOn || this.held >= 0;
    }

    /** Start anew with the given shapes, and with the points of one that isn't closed yet. */
    reset(shapes = [], draft = null) {
      Object.assign(this, { shapes, draft, past: [], selected: -1, stroke: 0, isOn: Boolean(draft?.length) });
      this.changed();
    }

    /** Show and tell what changed; a point that was being dragged is let go. */
    changed() {
      this.held = -1;
      this.viewer.host.classList.toggle("drawing", this.isOn);
      this.viewer.redrawLines();
      this.onChange();
    }

    /** Turn drawing on or off. */
    turn(isOn) {
      if (this.held >= 0) this.undo();
      Object.assign(this, { isOn, draft: isOn ? [] : null, selected: -1 });
      this.changed();
    }

    /** Keep how the shapes are now, to come back to. */
    remember() {
      this.past.push(structuredClone(this.shapes));
      if (this.past.length > UNDO_STEPS) this.past.shift();
    }

    undo() {
      if (!this.past.length) return;
      this.shapes = this.past.pop();
      this.selected = -1;
      this.changed();
    }

    /** Take back the last point, or the last freehand line. */
    back() {
      if (!this.draft?.length) return this.undo();
      const isStroke = this.stroke > 0;
      this.draft.length -= isStroke ? Math.min(this.stroke, this.draft.length) : 1;
      this.stroke = 0;
      return this.viewer.redrawLines();
    }

    escape() {
      if (this.draft?.length) this.draft = [];
      else this.turn(false);
      this.stroke = 0;
      this.viewer.redrawLines();
    }

    /** Add a point at the middle of the pane: drawing without a pointer. */
    addMiddle() {
      const { camera } = this.viewer;
      this.add([camera.x, camera.y]);
    }

    add(point) {
      const last = this.draft[this.draft.length - 1];
      if (last && apart(last, point) * this.viewer.camera.scale < 2) return;
      this.draft.push(this.within(point));
      this.stroke = 0;
      this.viewer.redrawLines();
    }

    within([x, y]) {
      const { width, height } = this.viewer.view;
      return [Math.min(Math.max(x, 0), width), Math.min(Math.max(y, 0), height)];
    }

    /** Close the outline and keep it; say why where it can't be. */
    close() {
      const points = this.draft ?? [];
      if (!points.length) return;
      const fault = WSI.shapes.fault(points);
      if (fault) {
        WSI.say(fault, "trouble");
        return;
      }
      this.remember();
      this.shapes.push({ id: WSI.newId(), kind: this.kind, points });
      Object.assign(this, { draft: null, stroke: 0, isOn: false, selected: this.shapes.length - 1 });
      WSI.say("Outline kept. It is saved with your decision.");
      this.changed();
    }

    remove(index = this.selected) {
      if (index < 0) return;
      this.remember();
      this.shapes.splice(index, 1);
      this.selected = -1;
      this.changed();
    }

    /** Give a shape another class. */
    classify(index, kind) {
      this.remember();
      this.shapes[index].kind = kind;
      this.kind = kind;
      this.changed();
    }

    down(place, event) {
      const at = this.viewer.camera.toSlide(place.x, place.y);
      this.pressed = place;
      this.reach = (event.pointerType === "touch" ? FINGER_PX : REACH_PX) / this.viewer.camera.scale;
      const point = [at.x, at.y];
      if (!this.isOn) return this.grab(point, event.altKey);
      const isBackAtStart = this.draft.length > 2 && apart(this.draft[0], point) < this.reach;
      if (isBackAtStart) this.close();
      else this.add(point);
      return true;
    }

    /** Take hold of a point of the selected shape, or of a new one on its edge; Alt takes the point away. */
    grab(point, isRemoving) {
      const shape = this.shapes[this.selected];
      if (!shape) return false;
      let at = shape.points.findIndex((corner) => apart(corner, point) < this.reach);
      if (at >= 0 && isRemoving && shape.points.length > 3) {
        this.remember();
        shape.points.splice(at, 1);
        this.changed();
        return true;
      }
      const edge = at < 0 ? WSI.shapes.edgeAt(shape.points, point, this.reach) : -1;
      if (at < 0 && edge < 0) return false;
      this.remember();
      if (edge >= 0) shape.points.splice((at = edge + 1), 0, point);
      this.held = at;
      return true;
    }

    move(place) {
      const at = this.viewer.camera.toSlide(place.x, place.y);
      this.cursor = [at.x, at.y];
      if (this.held >= 0) this.shapes[this.selected].points[this.held] = this.within(this.cursor);
      else if (this.isOn && this.pressed) this.follow();
      else if (!this.isOn) return false;
      this.viewer.redrawLines();
      return true;
    }

    /** Add points along a freehand line. */
    follow() {
      const last = this.draft?.[this.draft.length - 1];
      if (!last || apart(last, this.cursor) * this.viewer.camera.scale < FREEHAND_PX) return;
      this.draft.push(this.within(this.cursor));
      this.stroke += 1;
    }

    up(place) {
      const { pressed } = this;
      this.pressed = null;
      if (this.held >= 0) return this.release();
      if (this.isOn) {
        if (this.stroke >= STROKE_POINTS) this.endStroke();
        return true;
      }
      const isClick = pressed && Math.hypot(place.x - pressed.x, place.y - pressed.y) < 4;
      if (isClick) this.select(this.viewer.camera.toSlide(place.x, place.y));
      return false;
    }

    /** A freehand line from the first point on closes by itself; otherwise the outline goes on. */
    endStroke() {
      const tolerance = SMOOTH_PX / this.viewer.camera.scale;
      const start = this.draft.length - this.stroke;
      const line = WSI.shapes.simplify(this.draft.slice(start), tolerance);
      this.draft = [...this.draft.slice(0, start), ...line];
      this.stroke = line.length;
      if (start <= 1) this.close();
    }

    release() {
      if (WSI.shapes.fault(this.shapes[this.selected].points)) {
        WSI.say("The outline would cross itself; the point went back.", "trouble");
        this.undo();
      }
      this.changed();
      return true;
    }

    select({ x, y }) {
      const found = this.shapes.findLastIndex((shape) => WSI.shapes.holds(shape.points, [x, y]));
      if (found === this.selected) return;
      this.selected = found;
      this.changed();
    }

    /** A second finger came: the first was no drawing. */
    cancel() {
      if (this.held >= 0) this.undo();
      else if (this.isOn && this.draft?.length) this.back();
      this.pressed = null;
    }
  }

  WSI.Draw = Draw;
})();
