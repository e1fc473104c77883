/** All keys in one table: the page listens to it and the help shows it. */
(function () {
  "use strict";
  const WSI = (window.WSI = window.WSI || {});
  const { make } = WSI;

  const SETTING = "wsi-single-keys";
  const TYPING = "input:not([type=range], [type=radio], [type=checkbox]), textarea, select";

  /**
   * Return the table: groups of {keys, does, run, when}; `keys` as KeyboardEvent.key, with Ctrl+ before it.
   * @param {Object} desk the parts of the page
   */
  WSI.keyTable = function (desk) {
    const { list, bar, decision, draw, stage, act } = desk;
    const magnify = (power) => ({ keys: [String([5, 10, 20, 40].indexOf(power) + 1)], does: `${power}×`, run: () => stage.magnify(power) });
    return {
      Cases: [
        { keys: ["n"], does: "next case to review", run: () => list.openNext() },
        { keys: ["j"], does: "the case below", run: () => list.openNeighbor(1) },
        { keys: ["k"], does: "the case above", run: () => list.openNeighbor(-1) },
        { keys: ["/"], does: "find a case", run: () => act.find() },
        { keys: ["w"], does: "show or hide the worklist", run: () => act.fold("list") },
        { keys: ["e"], does: "show or hide the evidence", run: () => act.fold("evidence") },
      ],
      Slide: [
        { keys: ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"], does: "move, on the slide (Shift: farther)" },
        { keys: ["+", "="], does: "closer", run: () => stage.zoom(1.6) },
        { keys: ["-"], does: "farther", run: () => stage.zoom(1 / 1.6) },
        { keys: ["0"], does: "the whole slide", run: () => stage.fit() },
        ...[5, 10, 20, 40].map(magnify),
        { keys: ["r"], does: "turn by 90°", run: () => stage.turn(1) },
        { keys: ["R"], does: "turn back", run: () => stage.turn(-1) },
        { keys: ["v"], does: "two slides side by side", run: () => stage.split() },
      ],
      Heat: [
        { keys: ["h"], does: "heat on or off", run: () => bar.flick() },
        { keys: ["o"], does: "outlines on or off", run: () => stage.flickLines() },
        { keys: ["l"], does: "next layer", run: () => bar.nextLayer() },
        { keys: ["c"], does: "next color map", run: () => bar.nextColors() },
        { keys: ["t"], does: "the model's threshold, or none", run: () => act.threshold() },
        { keys: [".", ","], does: "threshold up or down", run: (key) => bar.setThreshold(WSI.heatLook.threshold + (key === "." ? 0.02 : -0.02)) },
        { keys: ["]", "["], does: "more or less opaque", run: (key) => bar.setOpacity(WSI.heatLook.opacity + (key === "]" ? 0.1 : -0.1)) },
      ],
      Drawing: [
        { keys: ["d"], does: "draw: click points or drag a line", run: () => act.draw() },
        { keys: ["Enter"], does: "close the outline", run: () => draw.close(), when: () => draw.isOn },
        { keys: [" "], does: "a point at the middle, on the slide", run: () => draw.addMiddle(), when: () => draw.isOn },
        { keys: ["Backspace"], does: "take the last point back", run: () => draw.back(), when: () => draw.isOn },
        { keys: ["Escape"], does: "leave drawing", run: () => draw.escape(), when: () => draw.isOn },
        { keys: ["Delete"], does: "delete the chosen outline", run: () => draw.remove(), when: () => draw.selected >= 0 },
        { keys: ["Ctrl+z"], does: "undo", run: () => draw.undo() },
      ],
      Decision: [
        { keys: ["a"], does: "agree", run: () => decision.choose("agree") },
        { keys: ["x"], does: "disagree", run: () => decision.choose("disagree") },
        { keys: ["u"], does: "unsure", run: () => decision.choose("unsure") },
        { keys: ["g"], does: "choose the grade", run: () => decision.focusGrade() },
        { keys: ["Ctrl+Enter"], does: "record", run: () => decision.submit(), everywhere: true },
      ],
      Page: [
        { keys: ["m"], does: "dark or light", run: () => WSI.flipTheme() },
        { keys: ["?"], does: "this help", run: () => WSI.openHelp() },
      ],
    };
  };

  const nameOf = (event) => `${event.ctrlKey || event.metaKey ? "Ctrl+" : ""}${event.key}`;

  /** Whether keys without Ctrl act; a person who dictates or can't avoid stray keys turns them off. */
  const areSinglesOn = () => window.localStorage.getItem(SETTING) !== "off";

  /** Let the keys of the table act. */
  WSI.listenForKeys = function (table) {
    const all = Object.values(table).flat();
    document.addEventListener("keydown", (event) => {
      if (event.defaultPrevented || event.isComposing || event.altKey || WSI.find("help").open) return;
      const name = nameOf(event);
      const entry = all.find(({ keys, run, when }) => run && keys.includes(name) && (!when || when()));
      if (!entry || (!entry.everywhere && isTaken(event, name))) return;
      event.preventDefault();
      entry.run(event.key);
    });
  };

  /** Whether a key belongs to what has the focus, or isn't to act. */
  function isTaken(event, name) {
    if (event.target.matches(TYPING)) return true;
    const isPressing = name === "Enter" || name === " ";
    if (isPressing) return event.target.matches("button, summary, a, input");
    return name.length === 1 && !areSinglesOn();
  }

  const SHOWN = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", " ": "Space", Backspace: "⌫", Escape: "Esc" };

  function line({ keys, does }) {
    const caps = keys.map((key) => make("kbd", { text: SHOWN[key] ?? key.replace("+z", "+Z") }));
    return make("div", {}, make("dt", {}, ...caps), make("dd", { text: does }));
  }

  /** Fill the help with the table. */
  WSI.buildHelp = function (table) {
    const dialog = WSI.find("help");
    const box = make("input", { type: "checkbox", checked: areSinglesOn() });
    box.addEventListener("change", () => window.localStorage.setItem(SETTING, box.checked ? "on" : "off"));
    const close = WSI.button("Close", { shape: "close", quiet: true, onclick: () => dialog.close() });
    const groups = Object.entries(table).map(([name, lines]) =>
      make("section", {}, make("h3", { text: name }), make("dl", {}, ...lines.map(line))),
    );
    dialog.replaceChildren(
      make("header", {}, make("h2", { text: "Keys", id: "help-title" }), close),
      make("div", { class: "groups" }, ...groups),
      make("p", { class: "soft" }, "Wheel or pinch zooms, dragging moves. On an outline: drag a point, drag an edge for a new one, Alt+click takes one away."),
      make("label", {}, box, " Keys without Ctrl act"),
    );
  };

  WSI.openHelp = () => WSI.find("help").showModal();
})();
