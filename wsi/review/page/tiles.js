/** Tiles of the pyramid: which are wanted, a queue that fetches them, and a bounded store of decoded ones. */
(function () {
  "use strict";
  const WSI = (window.WSI = window.WSI || {});

  const AT_ONCE = 6; // requests under way
  const MOST_TILES = 420; // of one level on the screen; beyond it a coarser level must do
  const SOFTEST = 1.3; // device px a level's px, before a finer level is taken
  const AGAIN_MS = 5000; // before a tile that failed is asked for again
  const MEMORY = 256 * 2 ** 20; // bytes of decoded tiles

  /** Return the columns and rows of a level's tiles that touch a box of level-0 px. */
  WSI.tilesIn = function (level, { left, top, right, bottom }) {
    const side = level.tile_px * level.downsample;
    return {
      left: Math.max(0, Math.floor(left / side)),
      top: Math.max(0, Math.floor(top / side)),
      right: Math.min(Math.ceil(level.width / level.tile_px) - 1, Math.floor(right / side)),
      bottom: Math.min(Math.ceil(level.height / level.tile_px) - 1, Math.floor(bottom / side)),
    };
  };

  const countOf = (span) => Math.max(0, span.right - span.left + 1) * Math.max(0, span.bottom - span.top + 1);

  /**
   * Return the index of the level to draw: the coarsest that is sharp enough and the finest that isn't too much.
   * @param {number} px device px a level-0 px
   * @returns {number} -1 when even the coarsest level would be too many tiles: the thumbnail must do
   */
  WSI.chooseLevel = function (levels, box, px) {
    let chosen = 0;
    while (chosen + 1 < levels.length && levels[chosen + 1].downsample * px <= SOFTEST) chosen += 1;
    while (chosen < levels.length && countOf(WSI.tilesIn(levels[chosen], box)) > MOST_TILES) chosen += 1;
    return chosen < levels.length ? chosen : -1;
  };

  /** Decoded tiles, the least recently seen dropped first. */
  class TileCache {
    constructor(limit = MEMORY) {
      Object.assign(this, { limit, bytes: 0, tiles: new Map() });
    }

    get(key) {
      const tile = this.tiles.get(key);
      if (!tile) return null;
      this.tiles.delete(key);
      this.tiles.set(key, tile);
      return tile;
    }

    has(key) {
      return this.tiles.has(key);
    }

    put(key, tile) {
      this.tiles.set(key, tile);
      this.bytes += tile.width * tile.height * 4;
      for (const [oldest, dropped] of this.tiles) {
        if (this.bytes <= this.limit) return;
        this.tiles.delete(oldest);
        this.bytes -= dropped.width * dropped.height * 4;
        dropped.close?.();
      }
    }
  }

  /** Fetches wanted tiles, the nearest first, a few at once; what is wanted no more is canceled. */
  class TileQueue {
    /**
     * @param {function(Object, AbortSignal): Promise<ImageBitmap>} fetchTile
     * @param {TileCache} cache
     * @param {function(?Error): void} onChange after each tile that came or failed
     */
    constructor(fetchTile, cache, onChange) {
      Object.assign(this, { fetchTile, cache, onChange });
      Object.assign(this, { wanted: new Map(), waiting: [], underWay: new Map(), failed: new Map(), since: 0 });
    }

    /** Replace what one pane wants: [{key, slide, level, column, row}], the most urgent first. */
    want(pane, tiles) {
      this.wanted.set(pane, tiles);
      const all = [...this.wanted.values()].flat();
      const keys = new Set(all.map((tile) => tile.key));
      for (const [key, stop] of this.underWay) if (!keys.has(key)) stop.abort();
      this.waiting = all.filter((tile) => !this.underWay.has(tile.key) && this.isDue(tile.key));
      this.start();
    }

    isDue(key) {
      return performance.now() - (this.failed.get(key) ?? -Infinity) > AGAIN_MS;
    }

    /** ms that somebody has been waiting without any tile coming. */
    get patience() {
      return this.underWay.size ? performance.now() - this.since : 0;
    }

    start() {
      if (!this.underWay.size) this.since = performance.now();
      while (this.underWay.size < AT_ONCE && this.waiting.length) this.fetch(this.waiting.shift());
    }

    async fetch(tile) {
      if (this.underWay.has(tile.key) || this.cache.has(tile.key)) return;
      const stop = new AbortController();
      this.underWay.set(tile.key, stop);
      let trouble = null;
      try {
        this.cache.put(tile.key, await this.fetchTile(tile, stop.signal));
        this.failed.delete(tile.key);
      } catch (error) {
        if (!stop.signal.aborted) {
          this.failed.set(tile.key, performance.now());
          trouble = error;
        }
      }
      this.underWay.delete(tile.key);
      this.since = performance.now();
      this.start();
      this.onChange(trouble);
    }
  }

  WSI.SOFTEST = SOFTEST;
  WSI.TileCache = TileCache;
  WSI.TileQueue = TileQueue;
})();
