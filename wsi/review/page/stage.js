/** The middle of the page: one pane or two that move as one, with their tools. */
(function () {
  "use strict";
  const WSI = (window.WSI = window.WSI || {});
  const { make } = WSI;

  const QUARTER = Math.PI / 2;

  class Stage {
    /** @param {Element} host @param {{store, run}} desk */
    constructor(host, { store, run }) {
      Object.assign(this, { host, store, run, other: null });
      this.cache = new WSI.TileCache();
      const fetchTile = (tile, signal) => store.tile(tile.slide, tile.level, tile.column, tile.row, signal);
      this.queue = new WSI.TileQueue(fetchTile, this.cache, (trouble) => this.onTile(trouble));
      this.panesHost = make("div", { class: "panes" });
      this.notice = make("div", { class: "empty-stage", hidden: true });
      const words = "Click points or drag · the first point or Enter closes · Esc leaves";
      this.hint = make("p", { class: "hint", hidden: true, text: words });
      host.append(this.panesHost, this.notice, this.hint);
      this.main = this.addPane("Slide. Arrow keys move, plus and minus zoom, 0 shows all of it.");
      this.main.viewer.layers = [];
      window.setInterval(() => this.onSecond(), 1000);
      WSI.flipTheme.heard.push(() => this.panes.forEach(({ viewer }) => viewer.redraw()));
    }

    get panes() {
      return this.other ? [this.main, this.other] : [this.main];
    }

    addPane(label) {
      const host = make("div", { class: "pane", tabindex: 0, role: "application", "aria-label": label });
      this.panesHost.append(host);
      return new WSI.Pane(host, { store: this.store, queue: this.queue, cache: this.cache });
    }

    /** Show a case in the main pane; the drawing and past outlines lie on top. */
    async show(item, { draw, past }) {
      this.unsplit();
      this.main.framed = null;
      const shown = this.main.show(item);
      this.main.viewer.layers.push(
        (pen, px) => WSI.heatLook.areLinesOn && past.draw(pen, px),
        (pen, px) => WSI.drawFrame(this.main, pen, px),
        (pen, px) => WSI.ink(draw, pen, px, (kind) => this.colorOf(kind)),
      );
      const stopped = WSI.isStopped(item) ? "There is no picture of this slide. The reason stands on the right." : "";
      this.tell(item.view ? "" : stopped || item.view_problem || "This slide can't be shown.");
      return shown;
    }

    /** Put words where the slide would be; "" shows the slide. */
    tell(words) {
      this.notice.hidden = !words;
      this.notice.replaceChildren(make("p", { text: words }));
    }

    colorOf(kind) {
      return this.run.classes.find(({ name }) => name === kind)?.color ?? [11, 107, 115];
    }

    onTile(trouble) {
      for (const { viewer } of this.panes) viewer.redraw();
      this.onSecond();
      if (trouble instanceof WSI.StoreError && trouble.status === 0) WSI.say(trouble.message, "trouble");
    }

    /** Ask again for what failed, and say when the disk is slow. */
    onSecond() {
      for (const { viewer } of this.panes) {
        viewer.checkPatience();
        if (this.queue.failed.size) viewer.redraw();
      }
    }

    zoom(factor) {
      const { camera } = this.main.viewer;
      camera.zoomAt(factor, camera.width / 2, camera.height / 2);
      this.main.viewer.redraw();
    }

    fit() {
      const { camera } = this.main.viewer;
      camera.flyTo({ ...camera.middle, scale: camera.fitting });
      this.main.viewer.redraw();
    }

    /** Go to a magnification; without a known scale, to a share of the file's px. */
    magnify(power) {
      const { camera, view } = this.main.viewer;
      if (!view) return;
      const scale = view.mpp ? WSI.scaleAt(power, view.mpp) : power / 40;
      camera.flyTo({ x: camera.x, y: camera.y, scale });
      this.main.viewer.redraw();
    }

    turn(quarters) {
      this.main.viewer.camera.rotateBy(quarters * QUARTER);
      this.main.viewer.redraw();
    }

    flickLines() {
      WSI.heatLook.areLinesOn = !WSI.heatLook.areLinesOn;
      for (const { viewer } of this.panes) viewer.redrawLines();
    }

    /** Open or close a second pane with another slide of the case. */
    split() {
      if (this.other) return this.unsplit();
      const others = this.main.item?.panes ?? [];
      if (!others.length) return WSI.say("This case has no other slide to put beside it.");
      this.other = this.addPane("Second slide");
      this.panesHost.classList.add("two");
      this.pair = new WSI.Pair(this.main, this.other);
      this.other.viewer.host.append(this.pair.controls(others, (slide) => this.openBeside(slide)));
      return this.openBeside(others[0].slide);
    }

    async openBeside(slide) {
      const item = await this.store.case(slide);
      const shown = this.other.show(item);
      this.pair.align();
      return shown;
    }

    unsplit() {
      if (!this.other) return;
      this.queue.want(this.other.viewer, []);
      this.queue.wanted.delete(this.other.viewer);
      this.other.viewer.host.remove();
      this.pair.isOn = false;
      this.other = this.pair = null;
      this.panesHost.classList.remove("two");
    }
  }

  WSI.Stage = Stage;
})();
