/** The heat of a slide's tiles: one byte a tile, colored by a table, drawn at grid size and stretched over the slide. */
(function () {
  "use strict";
  const WSI = (window.WSI = window.WSI || {});

  const SCORE_NOTE = "score of each tile by itself";
  const ATTENTION_NOTE = "attention (where the model looked; not a probability)";
  const NOTES = { score: SCORE_NOTE, attention: ATTENTION_NOTE, mask: "mask" };

  class Heat {
    /**
     * @param {Object} grid as the server tells it: columns, rows, x0, y0, step_x, step_y (level-0 px), layers
     */
    constructor(grid) {
      Object.assign(this, { grid, layer: grid.layers[0], values: null });
      this.canvas = new OffscreenCanvas(grid.columns, grid.rows);
      this.brush = this.canvas.getContext("2d");
      this.picture = this.brush.createImageData(grid.columns, grid.rows);
      this.pixels = new Uint32Array(this.picture.data.buffer);
    }

    /** Whether its values speak for and against, and so are no heat of tiles. */
    get isSigned() {
      return this.layer.kind === "explanation";
    }

    /** What the layer's values are, in words. */
    static note(layer) {
      if (layer.kind === "explanation") return `what spoke for ${layer.subject} (yellow) and against it (blue): an explanation, not a probability`;
      return NOTES[layer.kind] ?? layer.kind;
    }

    /** Show another layer; `values`: a byte a tile, rows by columns, 0 where there is none. */
    show(layer, values) {
      Object.assign(this, { layer, values });
    }

    /** Color all tiles anew: under 1 ms for 100,000. */
    recolor(colormap, threshold) {
      if (!this.values) return;
      const table = this.isSigned ? WSI.signedTable(threshold) : WSI.colorTable(colormap, threshold);
      const { values, pixels } = this;
      for (let tile = 0; tile < pixels.length; tile += 1) pixels[tile] = table[values[tile]];
      this.brush.putImageData(this.picture, 0, 0);
    }

    /** Draw under the camera's transform; what lies beyond the slide is left out. */
    draw(context, opacity, { width, height }) {
      if (!this.values) return;
      context.save();
      context.beginPath();
      context.rect(0, 0, width, height);
      context.clip();
      const { x0, y0, step_x: stepX, step_y: stepY, columns, rows } = this.grid;
      context.imageSmoothingEnabled = this.isSigned;
      context.globalAlpha = opacity;
      context.drawImage(this.canvas, x0, y0, columns * stepX, rows * stepY);
      context.restore();
    }

    /** The layer's value of the tile under a point in level-0 px; null where there is none. */
    valueAt({ x, y }) {
      const { x0, y0, step_x: stepX, step_y: stepY, columns, rows } = this.grid;
      const column = Math.floor((x - x0) / stepX);
      const row = Math.floor((y - y0) / stepY);
      if (!this.values || column < 0 || row < 0 || column >= columns || row >= rows) return null;
      const byte = this.values[row * columns + column];
      return byte ? this.valueOf((byte - 1) / 254) : null;
    }

    /** The layer's value at a share of the way from low to high. */
    valueOf(share) {
      return this.layer.low + (this.layer.high - this.layer.low) * share;
    }

    /** How many tiles there are, and how many lie at or above the threshold (a share). */
    count(threshold) {
      let tiles = 0;
      let above = 0;
      const least = threshold * 254 + 1;
      for (const value of this.values ?? []) {
        tiles += value > 0;
        above += value > 0 && value >= least;
      }
      return { tiles, above };
    }
  }

  WSI.Heat = Heat;
})();
