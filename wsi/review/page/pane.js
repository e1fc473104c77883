/** A pane with one case: its slide, heat and outlines. */
(function () {
  "use strict";
  const WSI = (window.WSI = window.WSI || {});

  /** How heat is shown, the same in all panes; threshold is a share of the way from low to high. */
  WSI.heatLook = { isOn: true, areLinesOn: true, opacity: 0.5, colormap: "viridis", threshold: 0, kind: "score" };

  class Pane {
    constructor(host, source) {
      this.store = source.store;
      this.viewer = new WSI.Viewer(host, source);
      this.chip = WSI.make("span", { class: "chip", hidden: true, "aria-hidden": "true" });
      host.append(this.chip);
      host.addEventListener("pointermove", (event) => this.tell(event));
      host.addEventListener("pointerup", (event) => event.pointerType === "touch" && this.tell(event));
      host.addEventListener("pointerleave", (event) => (this.chip.hidden = event.pointerType !== "touch" || this.chip.hidden));
      this.heat = this.outlines = this.item = null;
    }

    /** Show a case's slide; heat and outlines come when they come. */
    async show(item) {
      Object.assign(this, { item, heat: null, outlines: null });
      const { store, viewer } = this;
      const overview = item.overlay ? store.overlay(item.slide) : item.thumbnail ? store.thumbnail(item.slide) : null;
      viewer.show(item.slide, item.view, overview);
      viewer.layers = [(pen) => this.drawHeat(pen), (pen, px) => this.drawLines(pen, px)];
      const loaded = await Promise.allSettled([this.loadHeat(item), this.loadOutlines(item)]);
      const lost = loaded.find(({ status }) => status === "rejected");
      if (lost) throw lost.reason;
    }

    /** Show nothing. */
    clear() {
      Object.assign(this, { item: null, heat: null, outlines: null });
      this.chip.hidden = true;
      this.viewer.show(null, null, null);
    }

    async loadHeat(item) {
      if (!item.heat || item.hidden) return;
      const heat = new WSI.Heat(item.heat);
      const layer = item.heat.layers.find(({ kind }) => kind === WSI.heatLook.kind) ?? item.heat.layers[0];
      heat.show(layer, await this.store.heat(item, layer.id));
      if (this.item !== item) return;
      this.heat = heat;
      this.recolor();
    }

    async loadOutlines(item) {
      if (!item.outlines) return;
      const outlines = new WSI.Outlines(await this.store.outlines(item));
      if (this.item !== item) return;
      this.outlines = outlines;
      this.viewer.redrawLines();
    }

    /** Show another layer of the heat. */
    async choose(layer) {
      const { item, heat } = this;
      this.chosen = layer;
      const values = await this.store.heat(item, layer.id);
      if (this.heat !== heat || this.chosen !== layer) return;
      heat.show(layer, values);
      this.recolor();
    }

    recolor() {
      this.heat?.recolor(WSI.heatLook.colormap, WSI.heatLook.threshold);
      this.viewer.redrawLines();
    }

    drawHeat(pen) {
      if (WSI.heatLook.isOn) this.heat?.draw(pen, WSI.heatLook.opacity, this.item.view);
    }

    drawLines(pen, px) {
      if (WSI.heatLook.areLinesOn) this.outlines?.draw(pen, px);
    }

    /** Say the value of the tile under the pointer. */
    tell(event) {
      const box = this.viewer.host.getBoundingClientRect();
      const place = { x: event.clientX - box.left, y: event.clientY - box.top };
      const value = this.heat?.valueAt(this.viewer.camera.toSlide(place.x, place.y)) ?? null;
      const isDragged = event.pointerType === "touch" && event.type === "pointermove";
      this.chip.hidden = value === null || !WSI.heatLook.isOn || this.viewer.tool?.isBusy || isDragged;
      if (this.chip.hidden) return;
      this.chip.textContent = this.heat.isSigned ? WSI.words.spoken(value, this.heat.layer.subject) : `${this.heat.layer.name} ${WSI.figure(value, this.heat.layer)}`;
      const left = Math.min(place.x + 14, box.width - this.chip.offsetWidth - 6);
      this.chip.style.transform = `translate(${left}px, ${place.y + 16}px)`;
    }
  }

  /** Write a value of a layer with as many digits as the layer's span asks for. */
  WSI.figure = (value, { low, high, kind } = { low: 0, high: 1, kind: "score" }) => {
    if (kind === "score" && low === 0 && high === 1) return WSI.words.probability(value);
    const digits = Math.min(Math.max(2 - Math.floor(Math.log10(high - low)), 0), 6);
    return value.toFixed(digits);
  };

  WSI.Pane = Pane;
})();
