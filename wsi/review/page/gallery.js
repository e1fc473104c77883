/** The tiles that count most and least for the verdict; a click flies there. */
(function () {
  "use strict";
  const WSI = (window.WSI = window.WSI || {});
  const { make } = WSI;

  const CROP_PX = 160; // as asked of the server; shown smaller
  const SHOWN = 6; // before "show all"
  const TILE_ON_SCREEN = 0.3; // of the pane's smaller side, after the flight

  /** Go to a tile of a pane and put a frame around it. */
  WSI.flyToTile = function (pane, tile) {
    const { camera } = pane.viewer;
    const scale = (TILE_ON_SCREEN * Math.min(camera.width, camera.height)) / Math.max(tile.size_x, tile.size_y);
    camera.flyTo({ x: tile.x + tile.size_x / 2, y: tile.y + tile.size_y / 2, scale });
    pane.framed = tile;
    pane.viewer.redraw();
  };

  /** Draw the frame of the tile that was flown to. */
  WSI.drawFrame = function (pane, pen, px) {
    const tile = pane.framed;
    if (!tile) return;
    for (const [color, width] of [["white", 4], ["black", 1.5]]) {
      pen.strokeStyle = color;
      pen.lineWidth = width * px;
      pen.strokeRect(tile.x, tile.y, tile.size_x, tile.size_y);
    }
  };

  function picture(store, slide, tile, words, onOpen) {
    const { x, y, size_x: width, size_y: height } = tile;
    const image = make("img", {
      src: store.crop(slide, { x, y, width, height, px: CROP_PX }),
      alt: "",
      loading: "lazy",
      draggable: "false",
    });
    image.addEventListener("error", () => image.replaceWith(make("span", { class: "missing" })));
    const label = `Go to the tile with ${words}`;
    return make(
      "button",
      { type: "button", class: "tile", "aria-label": label, title: label, on: { click: () => onOpen(tile) } },
      image,
      make("span", { text: WSI.figure(tile.score), "aria-hidden": "true" }),
    );
  }

  function row(title, tiles, { store, slide, onOpen }) {
    if (!tiles?.length) return null;
    const list = make("div", { class: "tiles-row" });
    const words = (tile, at) => `score ${WSI.figure(tile.score)}, ${at + 1} of ${tiles.length}`;
    const show = (count) =>
      list.replaceChildren(...tiles.slice(0, count).map((tile, at) => picture(store, slide, tile, words(tile, at), onOpen)));
    show(SHOWN);
    const more = make("button", {
      type: "button",
      class: "button link",
      text: `all ${tiles.length}`,
      on: { click: () => (show(tiles.length), more.remove()) },
    });
    return make("div", {}, make("h3", {}, title, tiles.length > SHOWN ? more : null), list);
  }

  /** Return the gallery of a case, null where it has none. */
  WSI.gallery = function (item, { store, onOpen }) {
    if (item.hidden || !item.top?.length) return null;
    const desk = { store, slide: item.slide, onOpen };
    return make(
      "section",
      { class: "gallery", "aria-label": "Tiles of the case" },
      row("Highest tiles", item.top, desk),
      row("Lowest tiles", item.bottom, desk),
    );
  };
})();
