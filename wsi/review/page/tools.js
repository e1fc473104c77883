/** The buttons on the slide: what keys do, for the mouse and for fingers. */
(function () {
  "use strict";
  const WSI = (window.WSI = window.WSI || {});

  const POWERS = [5, 10, 20, 40];

  /** Fill the column; each button does what its key does. Returns what shows anew which of them are on. */
  WSI.buildTools = function (host, { stage, draw, act }) {
    const tool = (label, shape, key, onclick, isOn = null) => {
      const button = WSI.button(label, { shape, key, onclick, quiet: true, kind: "tool", pressed: isOn?.() ?? null });
      host.append(button);
      return isOn && (() => button.setAttribute("aria-pressed", String(isOn())));
    };
    const shown = [
      tool("Closer", "plus", "+", () => stage.zoom(1.6)),
      tool("Farther", "minus", "-", () => stage.zoom(1 / 1.6)),
      tool("Whole slide", "fit", "0", () => stage.fit()),
      tool("Turn", "turn", "r", () => stage.turn(1)),
      tool("Outlines", "outline", "o", () => stage.flickLines(), () => WSI.heatLook.areLinesOn),
      tool("Draw", "draw", "d", () => act.draw(), () => draw.isOn),
      tool("Side by side", "two", "v", () => stage.split(), () => stage.other !== null),
    ].filter(Boolean);
    for (const [at, power] of POWERS.entries()) {
      const button = WSI.button(`${power}×`, { key: String(at + 1), kind: "tool power", onclick: () => stage.magnify(power) });
      host.append(button);
    }
    drawingTools(stage.hint, draw);
    return () => shown.forEach((sync) => sync());
  };

  /** Fill what is shown while something is drawn. */
  function drawingTools(host, draw) {
    const words = "Click points or drag · the first point or Enter closes · Esc leaves";
    const tool = (label, key, onclick) => WSI.button(label, { key, onclick });
    host.append(
      WSI.make("span", { text: words }),
      tool("Point back", "Backspace", () => draw.back()),
      tool("Close outline", "Enter", () => draw.close()),
      tool("Leave", "Escape", () => draw.turn(false)),
    );
  }
})();
