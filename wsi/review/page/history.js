/** The decisions of a case so far: who said what, and when. */
(function () {
  "use strict";
  const WSI = (window.WSI = window.WSI || {});
  const { make } = WSI;

  const VERBS = { agree: "agreed", disagree: "disagreed", unsure: "was unsure" };

  function line(entry) {
    const verb = entry.stage === "own" ? "read it alone" : VERBS[entry.verdict];
    const shapes = entry.shapes?.features?.length ?? 0;
    const isUnsure = entry.stage === "own" && entry.verdict === "unsure";
    const more = [
      entry.grade ?? (isUnsure ? "can't tell" : null),
      entry.reason,
      shapes ? WSI.words.count(shapes, "outline", "outlines") : "",
    ].filter(Boolean);
    return make(
      "li",
      {},
      make("p", {}, make("b", { text: entry.who }), ` ${verb}${more.length ? `: ${more.join(" · ")}` : ""}`),
      entry.comment ? make("blockquote", { text: entry.comment }) : null,
      make("time", { datetime: entry.when, text: WSI.words.moment(entry.when) }),
    );
  }

  /** Return the list, the latest first; null where nobody decided. */
  WSI.history = function (decisions) {
    if (!decisions?.length) return null;
    const list = make("ol", {}, ...[...decisions].reverse().map(line));
    return make("section", { class: "history", "aria-label": "Decisions so far" }, make("h3", { text: "Decisions so far" }), list);
  };

  /**
   * Return what each person drew last, as the files for QuPath hold it.
   * @param {string} name whose outlines come as shapes, to go on with (`mine`); the others' as features to look at
   */
  WSI.lastOutlines = function (decisions, name) {
    const last = new Map((decisions ?? []).map((entry) => [entry.who, entry.shapes?.features ?? []]));
    const mine = (last.get(name) ?? []).flatMap(WSI.shapes.ofFeature);
    last.delete(name);
    const others = [...last.values()].flat().map(({ geometry, properties }) => ({
      geometry,
      properties: { kind: "drawn", color: properties?.color },
    }));
    return { mine, others };
  };
})();
