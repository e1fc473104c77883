/** The middle of the page: one pane or two that move as one: of two slides, or of two models over one. */
(function () {
  "use strict";
  const WSI = (window.WSI = window.WSI || {});
  const { make } = WSI;

  const QUARTER = Math.PI / 2;
  const OTHER_MODEL = "beside:"; // no slide's id has a colon
  const GONE = [401, 403, 404, 503]; // the server is another one, the slide isn't there any more, or its decoders are stuck

  /** Scale of a magnification; without a known µm a px, a share of the file's px. */
  const scaleOf = (view, power) => (view.mpp ? WSI.scaleAt(power, view.mpp) : power / 40);

  class Stage {
    /**
     * @param {Element} host
     * @param {{store, run, cases: function(): Object[], onSplit: function(boolean): void, onLook: function(): void}} desk
     */
    constructor(host, { store, run, cases, onSplit, onLook }) {
      Object.assign(this, { host, store, run, cases, onSplit, onLook, other: null, isComparing: false });
      this.cache = new WSI.TileCache();
      this.lost = new Map(); // by slide: why its last tile didn't come
      this.queue = new WSI.TileQueue((...tile) => this.fetchTile(...tile), this.cache, (trouble) => this.onTile(trouble));
      this.panesHost = make("div", { class: "panes" });
      this.notice = make("div", { class: "empty-stage", hidden: true });
      this.hint = make("div", { class: "hint", hidden: true });
      host.append(this.panesHost, this.notice, this.hint);
      this.main = this.addPane("Slide. Arrow keys move, plus and minus zoom, 0 shows all of it.");
      this.main.viewer.layers = [];
      this.current = this.main;
      window.setInterval(() => this.onSecond(), 1000);
      WSI.flipTheme.heard.push(() => this.panes.forEach(({ viewer }) => viewer.redraw()));
    }

    get panes() {
      return this.other ? [this.main, this.other] : [this.main];
    }

    addPane(label) {
      const host = make("div", { class: "pane", tabindex: 0, role: "application", "aria-label": label });
      this.panesHost.append(host);
      const pane = new WSI.Pane(host, { store: this.store, queue: this.queue, cache: this.cache });
      for (const kind of ["focusin", "pointerdown"]) host.addEventListener(kind, () => (this.current = pane));
      return pane;
    }

    /** Return a tile, and remember of which slides none comes. */
    async fetchTile({ slide, level, column, row }, signal) {
      try {
        const tile = await this.store.tile(slide, level, column, row, signal);
        this.lost.delete(slide);
        return tile;
      } catch (error) {
        if (GONE.includes(error.status)) this.lost.set(slide, error.message);
        throw error;
      }
    }

    /** Show words and no slide. */
    clear(words) {
      this.unsplit();
      this.main.clear();
      this.tell(words);
    }

    /** Show a case in the main pane; the drawing and past outlines lie on top. */
    async show(item, { draw, past }) {
      this.unsplit();
      this.main.framed = null;
      const shown = this.main.show(item);
      this.main.viewer.layers.push(
        (pen, px) => WSI.heatLook.areLinesOn && past.draw(pen, px),
        (pen, px) => WSI.drawFrame(this.main, pen, px),
        (pen, px) => WSI.ink(draw, pen, px, (kind) => WSI.outlineColor(this.run, kind)),
      );
      const stopped = WSI.isStopped(item) ? "There is no picture of this slide. The reason stands on the right." : "";
      this.tell(item.view ? "" : stopped || item.view_problem || "This slide can't be shown.");
      if (this.isComparing && item.is_beside && item.view) await this.split();
      return shown;
    }

    /** Put words where the slide would be; "" shows the slide. */
    tell(words) {
      this.notice.hidden = !words;
      this.notice.replaceChildren(make("p", { text: words }));
    }

    onTile(trouble) {
      for (const { viewer } of this.panes) viewer.redraw();
      this.onSecond();
      if (trouble instanceof WSI.StoreError && trouble.status === 0) WSI.say(trouble.message, "trouble");
    }

    /** Ask again for what failed, and say when the disk is slow. */
    onSecond() {
      for (const { viewer } of this.panes) {
        viewer.checkPatience(this.lost.get(viewer.slide));
        if (this.queue.failed.size) viewer.redraw();
      }
    }

    zoom(factor) {
      const { camera } = this.current.viewer;
      camera.zoomAt(factor, camera.width / 2, camera.height / 2);
      this.current.viewer.redraw();
    }

    fit() {
      const { camera } = this.current.viewer;
      camera.flyTo({ ...camera.middle, scale: camera.fitting });
      this.current.viewer.redraw();
    }

    /** Go to a magnification; panes that move as one both go there. */
    magnify(power) {
      const { camera, view } = this.current.viewer;
      if (!view) return;
      const scale = scaleOf(view, power);
      const follower = this.panes.find((pane) => pane !== this.current)?.viewer;
      const isTied = this.pair?.isOn && follower?.view;
      if (isTied) follower.camera.scale = (scaleOf(follower.view, power) * camera.scale) / scale; // it moves by as much
      camera.flyTo({ x: camera.x, y: camera.y, scale });
      this.current.viewer.redraw();
    }

    turn(quarters) {
      this.current.viewer.camera.rotateBy(quarters * QUARTER);
      this.current.viewer.redraw();
    }

    flickLines() {
      WSI.heatLook.areLinesOn = !WSI.heatLook.areLinesOn;
      for (const { viewer } of this.panes) viewer.redrawLines();
      this.onLook();
    }

    /** What can stand beside the open slide: another model's view of it, slides of its case, all others. */
    others() {
      const { slide, panes, is_beside: isBeside } = this.main.item;
      const { beside } = this.run;
      const near = new Set([slide, ...panes.map((one) => one.slide)]);
      const rest = this.cases().filter((one) => !near.has(one.slide) && (one.viewable || one.thumbnail));
      const named = (cases) => cases.map((one) => [one.slide, one.name]);
      return [
        { label: "This slide, other model", options: isBeside ? [[OTHER_MODEL, `${beside.id} ${beside.version}`]] : [] },
        { label: "Same case", options: named(panes) },
        { label: "Other slides", options: named(rest) },
      ];
    }

    /** Open or close a second pane. */
    split() {
      if (this.other) return this.close();
      if (!this.main.item) return undefined;
      const others = this.others();
      const first = others.find(({ options }) => options.length);
      if (!first) return WSI.say("There is no other slide and no other model's result to put beside this one.");
      this.other = this.addPane("Second slide");
      this.panesHost.classList.add("two");
      this.onSplit(true);
      this.onLook();
      this.pair = new WSI.Pair(this.main, this.other);
      this.controls = this.pair.controls(others, (choice) => this.openBeside(choice));
      return this.openBeside(first.options[0][0]);
    }

    async openBeside(choice) {
      const { main, other, store } = this;
      this.isComparing = choice === OTHER_MODEL;
      this.choice = choice;
      other.clear();
      for (const told of other.viewer.host.querySelectorAll(".caption > p")) told.remove(); // it is of the slide before
      const item = this.isComparing ? await this.otherView(main.item) : await store.case(choice);
      if (this.other !== other || this.choice !== choice) return undefined;
      const shown = other.show(item);
      this.caption(main, this.isComparing ? this.run.model : null);
      this.caption(other, this.isComparing ? this.run.beside : null, this.controls);
      if (this.isComparing) this.pair.join();
      else this.pair.align();
      return shown;
    }

    /** The open slide as the other model sees it: the same px. */
    async otherView({ slide, view, thumbnail }) {
      return { ...(await this.store.beside(slide)), view, thumbnail };
    }

    caption(pane, model, ...controls) {
      pane.viewer.host.querySelector(".caption")?.remove();
      pane.viewer.host.append(WSI.caption(pane.item, model, ...controls));
    }

    /** Close the second pane for good: the next case opens alone. */
    close() {
      this.isComparing = false;
      this.unsplit();
    }

    unsplit() {
      if (!this.other) return;
      this.other.clear(); // or a frame that is due still would ask for its tiles again
      this.queue.want(this.other.viewer, []);
      this.queue.wanted.delete(this.other.viewer);
      this.other.viewer.host.remove();
      this.main.viewer.host.querySelector(".caption")?.remove();
      this.pair.part();
      this.pair.isOn = false;
      this.other = this.pair = null;
      this.current = this.main;
      this.panesHost.classList.remove("two");
      this.onSplit(false);
      this.onLook();
    }
  }

  WSI.Stage = Stage;
})();
