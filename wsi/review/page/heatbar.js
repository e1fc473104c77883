/** The bar under the slide: heat on or off, layer, threshold on the legend itself, opacity and color map. */
(function () {
  "use strict";
  const WSI = (window.WSI = window.WSI || {});

  const STEPS = 254; // of the threshold: one for each value of a tile

  /** Why a case has no heat, in words. */
  function missing({ hidden, ai }) {
    if (hidden) return "The heat is shown after your own read.";
    return ai?.structures?.length ? "The model marks structures; it gives no heat." : "There is no heat for this case.";
  }

  class HeatBar {
    /** @param {Element} host @param {function(): Pane[]} panes that show heat */
    constructor(host, panes) {
      Object.assign(this, { host, panes });
      this.build();
    }

    build() {
      const { make } = WSI;
      const look = WSI.heatLook;
      this.onoff = WSI.button("Heat", { shape: "heat", key: "h", pressed: look.isOn, onclick: () => this.flick() });
      this.layers = make("select", { "aria-label": "Layer of the heat", on: { change: () => this.choose() } });
      this.legend = make("canvas", { width: 256, height: 1, class: "legend", "aria-hidden": "true" });
      this.threshold = this.slider("Threshold", { max: STEPS, value: 0 }, (value) => this.setThreshold(value / STEPS));
      this.opacity = this.slider("Opacity", { max: 100, value: look.opacity * 100 }, (value) => this.setOpacity(value / 100));
      this.ends = [make("span"), make("span")];
      this.colors = make("select", { "aria-label": "Color map", on: { change: () => this.setColors(this.colors.value) } });
      for (const name of WSI.colormaps) this.colors.append(make("option", { value: name, text: name }));
      this.note = make("p", { class: "note" });
      this.reading = make("output", { class: "reading" });
      const track = make("div", { class: "track" }, this.legend, this.threshold);
      const scale = make("div", { class: "scale" }, this.ends[0], track, this.ends[1]);
      const opacity = make("label", { class: "opacity" }, make("span", { text: "Opacity" }), this.opacity);
      this.host.append(this.onoff, this.layers, scale, opacity, this.colors, make("div", { class: "telling" }, this.note, this.reading));
    }

    slider(label, { max, value }, onInput) {
      const slider = WSI.make("input", { type: "range", min: 0, max, value, "aria-label": label });
      slider.addEventListener("input", () => onInput(Number(slider.value)));
      return slider;
    }

    /** Bring the bar up to the case of the first pane; without heat it says so. */
    show() {
      const [{ heat, item }] = this.panes();
      this.host.classList.toggle("empty", !heat);
      for (const part of this.host.querySelectorAll("button, input, select")) part.disabled = !heat;
      this.layers.replaceChildren(
        ...(heat?.grid.layers ?? []).map(({ id, name }) => WSI.make("option", { value: id, text: name })),
      );
      if (heat) this.layers.value = heat.layer.id;
      this.colors.disabled ||= heat?.isSigned;
      this.paint();
      this.missing = item ? missing(item) : "";
      this.tell();
    }

    get heat() {
      return this.panes()[0]?.heat;
    }

    /** Show or hide the heat. */
    flick(isOn = !WSI.heatLook.isOn) {
      WSI.heatLook.isOn = isOn;
      this.onoff.setAttribute("aria-pressed", String(isOn));
      for (const { viewer } of this.panes()) viewer.redrawLines();
    }

    /** Show another layer, all of it: a threshold of one says nothing of another. */
    async choose(id = this.layers.value) {
      if (!this.heat) return;
      this.setThreshold(0);
      this.layers.value = id;
      for (const pane of this.panes()) {
        const layer = pane.heat?.grid.layers.find((one) => one.id === id);
        if (layer) WSI.heatLook.kind = layer.kind;
        if (layer) await pane.choose(layer).catch((error) => this.goBack(error));
      }
      this.tell();
    }

    /** A layer didn't come: name the one that is shown. */
    goBack(error) {
      if (this.heat) this.layers.value = this.heat.layer.id;
      throw error;
    }

    nextLayer() {
      const ids = [...this.layers.options].map(({ value }) => value);
      return ids.length ? this.choose(ids[(ids.indexOf(this.layers.value) + 1) % ids.length]) : undefined;
    }

    setOpacity(share) {
      WSI.heatLook.opacity = Math.min(Math.max(share, 0), 1);
      this.opacity.value = Math.round(WSI.heatLook.opacity * 100);
      for (const { viewer } of this.panes()) viewer.redrawLines();
    }

    setThreshold(share) {
      WSI.heatLook.threshold = Math.min(Math.max(share, 0), 1);
      this.threshold.value = Math.round(WSI.heatLook.threshold * STEPS);
      for (const pane of this.panes()) pane.recolor();
      this.tell();
    }

    setColors(name) {
      WSI.heatLook.colormap = name;
      this.colors.value = name;
      this.paint();
      for (const pane of this.panes()) pane.recolor();
    }

    nextColors() {
      const at = WSI.colormaps.indexOf(WSI.heatLook.colormap);
      this.setColors(WSI.colormaps[(at + 1) % WSI.colormaps.length]);
    }

    /** Paint the legend. */
    paint() {
      const pen = this.legend.getContext("2d");
      const colorOf = this.heat?.isSigned ? WSI.signedColor : (share) => WSI.colorOf(WSI.heatLook.colormap, share);
      for (let at = 0; at < 256; at += 1) {
        pen.fillStyle = WSI.words.color(colorOf(at / 255));
        pen.fillRect(at, 0, 1, 1);
      }
    }

    /** Say what the values are and how many tiles the threshold leaves. */
    tell() {
      const { heat } = this;
      const [low, high] = this.ends;
      if (!heat) {
        this.note.textContent = this.missing;
        [low, high, this.reading].forEach((part) => (part.textContent = ""));
        return;
      }
      const { threshold } = WSI.heatLook;
      this.note.textContent = WSI.Heat.note(heat.layer);
      if (heat.isSigned) {
        [low.textContent, high.textContent] = ["against", "for"];
        this.reading.textContent = threshold ? `only where it speaks with ${Math.round(threshold * 100)} % of its strength or more` : "the whole picture";
        this.threshold.setAttribute("aria-valuetext", this.reading.textContent);
        return;
      }
      const { tiles, above } = heat.count(threshold);
      low.textContent = heat.layer.low;
      high.textContent = heat.layer.high;
      const count = `${above.toLocaleString("en")} of ${WSI.words.count(tiles, "tile", "tiles")}`;
      const limit = WSI.figure(heat.valueOf(threshold), heat.layer);
      this.reading.textContent = threshold ? `${count} at ${limit} or above` : `all ${WSI.words.count(tiles, "tile", "tiles")}`;
      this.threshold.setAttribute("aria-valuetext", this.reading.textContent);
    }
  }

  WSI.HeatBar = HeatBar;
})();
