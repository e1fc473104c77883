/** One pane: the slide's tiles on one canvas, heat and lines on another above it, under one camera. */
(function () {
  "use strict";
  const WSI = (window.WSI = window.WSI || {});

  const SLOW_MS = 1200; // without a tile, before the page says that it waits
  const MOST_MS = 150; // that one frame moves on by, after a pause
  const BLEED = 0.6; // px that tiles overlap when the slide is turned, so that no seam shows

  class Viewer {
    /**
     * @param {Element} host an empty element that gives the pane its size
     * @param {{store: Object, queue: TileQueue, cache: TileCache}} source
     */
    constructor(host, source) {
      Object.assign(this, { host, ...source, camera: new WSI.Camera(), layers: [], tool: null, heard: [] });
      this.slide = null;
      this.view = null;
      this.thumbnail = null;
      this.isTilesDue = this.isLinesDue = false;
      this.build();
      new ResizeObserver(() => this.resize()).observe(host);
      WSI.listenForGestures(this);
      this.tick = this.tick.bind(this);
      this.last = performance.now();
      this.isAwake = false;
    }

    build() {
      const canvas = (kind) => WSI.make("canvas", { class: kind, "aria-hidden": "true" });
      this.below = canvas("tiles");
      this.above = canvas("lines");
      this.waiting = WSI.make("p", { class: "waiting", hidden: true }, WSI.make("span", { class: "spinner" }));
      this.waiting.append("Reading the slide. The disk is slow; what is there stays usable.");
      this.lost = WSI.make("p", { class: "lost", role: "alert", hidden: true });
      this.host.append(this.below, this.above, this.waiting, this.lost);
      this.pens = [this.below, this.above].map((element) => element.getContext("2d", { alpha: element === this.above }));
      this.overview = new WSI.Overview(this);
      this.ruler = new WSI.Ruler(this);
    }

    /** Call `heard` whenever the camera moved; returns what ends that. */
    onMove(heard) {
      this.heard.push(heard);
      return () => (this.heard = this.heard.filter((one) => one !== heard));
    }

    /** Show a slide, or nothing where `view` is null. */
    show(slide, view, thumbnail) {
      const isSame = Boolean(view && this.view) && slide === this.slide; // it stays where it is looked at
      Object.assign(this, { slide, view, thumbnail: null, layers: [] });
      const [x, y, width, height] = view?.bounds ?? [0, 0, view?.width ?? 1, view?.height ?? 1];
      this.camera.bounds = { x, y, width, height };
      if (!isSame) Object.assign(this.camera, { rotation: 0, spin: null });
      this.resize();
      if (!isSame) this.camera.fit();
      this.overview.show(thumbnail);
      if (thumbnail) this.load(thumbnail);
      this.redraw();
    }

    load(address) {
      const image = new Image();
      const { slide } = this;
      image.addEventListener("load", () => {
        if (this.slide === slide) this.thumbnail = image;
        this.redraw();
      });
      image.src = address;
    }

    resize() {
      const { clientWidth: width, clientHeight: height } = this.host;
      const dense = window.devicePixelRatio || 1;
      const scale = this.camera.flying?.to.scale ?? this.camera.scale; // also on its way there
      const wasFitting = Math.abs(scale / this.camera.fitting - 1) < 1e-3;
      for (const canvas of [this.below, this.above]) {
        canvas.width = Math.max(1, Math.round(width * dense));
        canvas.height = Math.max(1, Math.round(height * dense));
      }
      Object.assign(this.camera, { width: Math.max(1, width), height: Math.max(1, height) });
      this.dense = dense;
      if (wasFitting) this.camera.fit();
      this.redraw();
    }

    /** Draw all anew at the next frame. */
    redraw() {
      this.isTilesDue = true;
      this.redrawLines();
    }

    /** Draw heat and lines anew at the next frame; the tiles stay. */
    redrawLines() {
      this.isLinesDue = true;
      if (this.isAwake) return;
      this.isAwake = true;
      this.last = performance.now();
      window.requestAnimationFrame(this.tick);
    }

    tick(now) {
      const isMoving = this.camera.step(Math.min(now - this.last, MOST_MS));
      this.last = now;
      if (isMoving) this.isTilesDue = this.isLinesDue = true;
      if (this.isTilesDue) this.follow();
      if (this.isLinesDue) this.drawLines();
      this.isTilesDue = this.isLinesDue = false;
      this.isAwake = this.camera.isMoving;
      if (this.isAwake) window.requestAnimationFrame(this.tick);
    }

    /** Draw the tiles where the camera is now, and tell who wants to know. */
    follow() {
      this.drawTiles();
      for (const heard of this.heard) heard();
    }

    /** Set a pen to level-0 px. */
    place(pen) {
      pen.setTransform(...this.camera.matrix().map((number) => number * this.dense));
    }

    wipe(pen) {
      pen.setTransform(1, 0, 0, 1, 0, 0);
      pen.clearRect(0, 0, this.below.width, this.below.height);
    }

    drawTiles() {
      const [pen] = this.pens;
      this.wipe(pen);
      pen.fillStyle = getComputedStyle(this.host).getPropertyValue("--glass");
      pen.fillRect(0, 0, this.below.width, this.below.height);
      if (!this.view) return;
      this.place(pen);
      pen.imageSmoothingQuality = "high";
      const { x, y, width, height } = this.camera.bounds;
      if (this.thumbnail) pen.drawImage(this.thumbnail, x, y, width, height);
      const box = this.camera.seen();
      const chosen = WSI.chooseLevel(this.view.levels, box, this.camera.scale * this.dense);
      const missing = chosen < 0 ? [] : this.missingOf(chosen, box);
      if (missing.length) this.drawCoarser(pen, chosen, box);
      if (chosen >= 0) this.drawLevel(pen, chosen, box);
      this.queue.want(this, [...missing, ...this.groundwork(chosen)]);
    }

    drawCoarser(pen, chosen, box) {
      for (let level = this.view.levels.length - 1; level > chosen; level -= 1) this.drawLevel(pen, level, box);
    }

    *tilesOf(index, box) {
      const span = WSI.tilesIn(this.view.levels[index], box);
      const { id } = this.view.levels[index];
      for (let row = span.top; row <= span.bottom; row += 1) {
        for (let column = span.left; column <= span.right; column += 1) {
          const key = `${this.slide}/${index}/${column}/${row}`;
          yield { key, slide: this.slide, level: id, column, row };
        }
      }
    }

    /** The level's tiles that are seen and not there, the nearest to the middle first. */
    missingOf(index, box) {
      const level = this.view.levels[index];
      const side = level.tile_px * level.downsample;
      const far = ({ column, row }) =>
        Math.hypot((column + 0.5) * side - this.camera.x, (row + 0.5) * side - this.camera.y);
      return [...this.tilesOf(index, box)]
        .filter((tile) => !this.cache.has(tile.key))
        .sort((one, other) => far(one) - far(other));
    }

    /** The coarsest level's tiles, where they are few: they make every zoom out instant. */
    groundwork(chosen) {
      const coarsest = this.view.levels.length - 1;
      if (coarsest === chosen) return [];
      const all = [...this.tilesOf(coarsest, { left: 0, top: 0, right: this.view.width, bottom: this.view.height })];
      return all.length > 16 ? [] : all.filter((tile) => !this.cache.has(tile.key));
    }

    drawLevel(pen, index, box) {
      const level = this.view.levels[index];
      const side = level.tile_px * level.downsample;
      const bleed = this.camera.rotation ? BLEED / this.camera.scale : 0;
      for (const { key, column, row } of this.tilesOf(index, box)) {
        const tile = this.cache.get(key);
        if (!tile) continue;
        const left = this.snap(column * side, "x");
        const top = this.snap(row * side, "y");
        const right = this.snap(column * side + tile.width * level.downsample, "x");
        const bottom = this.snap(row * side + tile.height * level.downsample, "y");
        pen.drawImage(tile, left, top, right - left + bleed, bottom - top + bleed);
      }
    }

    /** Move a level-0 coordinate onto a whole device px, so that neighbors meet without a seam. */
    snap(value, axis) {
      if (this.camera.rotation) return value;
      const middle = ((axis === "x" ? this.camera.width : this.camera.height) * this.dense) / 2;
      const scale = this.camera.scale * this.dense;
      return (Math.round((value - this.camera[axis]) * scale + middle) - middle) / scale + this.camera[axis];
    }

    drawLines() {
      const [, pen] = this.pens;
      this.wipe(pen);
      if (!this.view) return;
      for (const layer of this.layers) {
        this.place(pen);
        layer(pen, 1 / this.camera.scale);
      }
    }

    /** Say that the disk is slow, once nothing came for a while, and why no tile comes (`trouble`) as long as none does. */
    checkPatience(trouble = "") {
      this.waiting.hidden = Boolean(trouble) || this.queue.patience < SLOW_MS;
      this.lost.hidden = !trouble;
      if (this.lost.textContent !== trouble) this.lost.textContent = trouble;
    }
  }

  WSI.Viewer = Viewer;
})();
