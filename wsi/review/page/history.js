/** The decisions of a case so far: who said what, and when. */
(function () {
  "use strict";
  const WSI = (window.WSI = window.WSI || {});
  const { make } = WSI;

  const VERBS = { agree: "agreed", disagree: "disagreed", unsure: "was unsure" };

  function line(entry) {
    const verb = entry.stage === "own" ? "read it alone" : VERBS[entry.verdict];
    const shapes = entry.shapes?.features?.length ?? 0;
    const more = [
      entry.grade,
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

  /** Return the outlines of the last decision that has some, to draw them. */
  WSI.outlinesOf = function (decisions) {
    const last = (decisions ?? []).findLast((entry) => entry.shapes?.features?.length);
    const features = (last?.shapes.features ?? []).map((feature) => ({
      geometry: feature.geometry,
      properties: { kind: "drawn", color: feature.properties?.color },
    }));
    return new WSI.Outlines({ features });
  };
})();
