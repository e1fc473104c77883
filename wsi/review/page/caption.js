/** What stands on each pane of two: which slide, read by which model, and what that says of it. */
(function () {
  "use strict";
  const WSI = (window.WSI = window.WSI || {});
  const { make, mark } = WSI;

  function marks(item) {
    if (item.hidden) return [];
    const found = item.refer && item.ai ? [mark("refer", "refer")] : [];
    if (WSI.isUnfamiliar(item)) found.push(mark("unfamiliar", "unlike training"));
    return found;
  }

  function verdict(item) {
    if (item.hidden) return "AI hidden until your own read";
    if (WSI.isStopped(item)) return `${WSI.words.status(item.status)} ${item.code}`;
    return WSI.verdictOf(item).verdict;
  }

  /** Return the caption of a case; `model`: null where both are of the same; `controls` name it themselves. */
  WSI.caption = function (item, model, ...controls) {
    const { file } = WSI.words.split(item.name);
    return make(
      "div",
      { class: "caption" },
      ...(controls.length ? controls : [make("p", {}, make("b", { text: model ? `${model.id} ${model.version}` : file }))]),
      make("p", { text: verdict(item) }),
      make("p", { class: "marks" }, ...marks(item)),
    );
  };
})();
