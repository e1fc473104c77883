/** The column of buttons on the slide. */
(function () {
  "use strict";
  const WSI = (window.WSI = window.WSI || {});

  /** Fill the column; each button does what its key does. */
  WSI.buildTools = function (host, { stage, act }) {
    const tool = (label, shape, key, onclick) => WSI.button(label, { shape, key, onclick, quiet: true, kind: "tool" });
    host.append(
      tool("Closer", "plus", "+", () => stage.zoom(1.6)),
      tool("Farther", "minus", "-", () => stage.zoom(1 / 1.6)),
      tool("Whole slide", "fit", "0", () => stage.fit()),
      tool("Turn", "turn", "r", () => stage.turn(1)),
      tool("Outlines", "outline", "o", () => stage.flickLines()),
      tool("Draw", "draw", "d", () => act.draw()),
      tool("Side by side", "two", "v", () => stage.split()),
    );
  };
})();
