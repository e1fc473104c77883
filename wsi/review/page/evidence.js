/** What the model says of a case and why to believe it or not: verdict in words, marks, tiles, facts, the model. */
(function () {
  "use strict";
  const WSI = (window.WSI = window.WSI || {});
  const { make, mark } = WSI;

  const facts = (rows) =>
    make("dl", { class: "facts" }, ...rows.flatMap(([name, value]) => [make("dt", { text: name }), make("dd", {}, value)]));

  const swatch = (color) => make("i", { class: "swatch", "aria-hidden": "true", style: { "--swatch": WSI.words.color(color) } });

  /** A bar a class, with its figure; the threshold is a tick on the positive one's. */
  function probabilities(item, run) {
    return bars(item.ai?.probabilities, new Map(run.classes.map(({ name, color }) => [name, WSI.words.color(color)])));
  }

  function bars(probabilities, colors) {
    const shares = Object.entries(probabilities ?? {}).sort(([, one], [, other]) => other - one);
    const rows = shares.map(([name, share]) => {
      const fill = make("i", { style: { width: `${share * 100}%`, "--swatch": colors.get(name) ?? "var(--soft)" } });
      const bar = make("span", { class: "meter", "aria-hidden": "true" }, fill);
      return make("li", {}, make("span", { text: name }), bar, make("b", { text: WSI.words.probability(share) }));
    });
    return rows.length ? make("ul", { class: "shares", "aria-label": "Probability of each class" }, ...rows) : null;
  }

  /** What a model marked, in its colors, with how much of it there is. */
  function structures({ ai }) {
    const rows = (ai?.structures ?? []).map((one) =>
      make("li", {}, swatch(one.color), make("span", { text: one.name, title: one.meaning || null }), make("b", { text: one.told })),
    );
    return rows.length ? make("ul", { class: "structures", "aria-label": "What was marked" }, ...rows) : null;
  }

  /** What the model says besides: a verdict of its own each, with its referral. */
  function besides({ ai }) {
    const parts = (ai?.also ?? []).map((one) => {
      const colors = new Map(Object.entries(one.colors).map(([name, color]) => [name, WSI.words.color(color)]));
      const refer = one.refer ? mark("refer", one.refer_reason ? `Refer: ${one.refer_reason}` : "Refer to a specialist") : null;
      return make("section", { class: "also" }, make("h3", {}, `${one.title}: `, make("b", { text: one.label })), bars(one.probabilities, colors), refer);
    });
    return parts.length ? make("div", { class: "besides" }, ...parts) : null;
  }

  function callouts(item) {
    const found = [];
    const isReasonBelow = WSI.isUnfamiliar(item) && item.refer_reason?.includes("unlike");
    const reason = item.refer_reason && !isReasonBelow ? `Refer: ${item.refer_reason}` : `Refer to a ${item.image ? "specialist" : "pathologist"}`;
    if (item.refer && item.ai) found.push(mark("refer", reason));
    if (WSI.isUnfamiliar(item)) {
      const far = item.out_of_distribution ? ` (${item.out_of_distribution.toFixed(2)} of the limit)` : "";
      found.push(mark("unfamiliar", `Unlike the slides the model learned from${far}: don't lean on the verdict`));
    }
    for (const flaw of WSI.flaws(item)) {
      const share = item.quality?.[flaw];
      found.push(mark("quality", WSI.words.flag(flaw) + (share ? `, ${Math.round(share * 100)} % of the tissue` : "")));
    }
    return found.length ? make("div", { class: "callouts" }, ...found) : null;
  }

  function caseFacts(item) {
    const { wanted, read, unreadable } = item.tiles;
    const count = (n) => n.toLocaleString("en");
    const rows = [];
    if (item.ai?.confidence !== null && item.ai?.confidence !== undefined) {
      rows.push(["Confidence", WSI.words.probability(item.ai.confidence)]);
    }
    if (item.ai?.value) rows.push([item.ai.value.name, WSI.words.quantity(item.ai.value)]);
    if (item.image) return facts([...rows, ...imageFacts(item)]);
    rows.push(["Tissue", WSI.words.area(item.tissue_mm2)]);
    rows.push(["Tiles read", `${count(read)} of ${count(wanted)}${unreadable ? `, ${count(unreadable)} unreadable` : ""}`]);
    if (item.view) rows.push(["Slide", `${count(item.view.width)} × ${count(item.view.height)} px`]);
    if (item.view) rows.push(["Scale", item.view.mpp ? `${item.view.mpp.toPrecision(3)} µm/px` : "not known"]);
    return facts(rows);
  }

  function imageFacts({ image }) {
    const windows = image.windows > 1 ? [["Windows read", image.windows.toLocaleString("en")]] : [];
    return [[image.is_volume ? "Volume" : "Picture", image.told], ...windows];
  }

  function interval({ name, metric, value, low, high, n }) {
    const figure = (number) => number.toFixed(2);
    const around = low === null || low === undefined ? "" : ` (${figure(low)}–${figure(high)})`;
    return make("li", {}, make("b", { text: `${metric} ${figure(value)}${around}` }), ` ${name}${n ? `, n = ${n}` : ""}`);
  }

  const CARD_GONE = "This model's card isn't here: start with --model FOLDER to read what it was trained on and is meant for.";

  function cardFacts(model) {
    return [
      ["Trained on", [].concat(model.trained_on ?? []).join("; ") || "not said"],
      ["Meant for", model.purpose || "not said"],
      ["Not for", [].concat(model.not_for ?? []).join("; ") || "not said"],
      ["Licence", model.licence || "not said"],
    ];
  }

  function modelFacts(model, title) {
    if (!model) return null;
    const hash = ["SHA-256", make("code", { text: model.sha256 ?? "" })];
    const rows = [["Model", `${model.id} ${model.version}`], ...(model.has_card ? cardFacts(model) : []), hash];
    if (model.threshold !== null && model.threshold !== undefined) rows.splice(1, 0, ["Threshold", model.threshold.toFixed(2)]);
    const evaluation = model.evaluation ?? [];
    return make(
      "details",
      { class: "model" },
      make("summary", { text: title }),
      make("p", { text: model.has_card ? model.title : CARD_GONE }),
      facts(rows),
      evaluation.length ? make("h4", { text: "How it was tested" }) : null,
      evaluation.length ? make("ul", { class: "evaluation" }, ...evaluation.map(interval)) : null,
    );
  }

  /** Why a case can't be looked at or judged, with what to do. */
  function trouble(item) {
    const lines = [];
    if (WSI.isStopped(item)) {
      lines.push(make("p", {}, make("code", { text: item.code }), ` ${WSI.reasonOf(item)}`));
      if (item.next_step) lines.push(make("p", {}, make("b", { text: "Next step: " }), item.next_step));
    }
    const isPlaceUnknown = !item.viewable && !item.image; // else the view's problem is the refusal's reason again
    if (item.view_problem && (!WSI.isStopped(item) || isPlaceUnknown)) lines.push(make("p", { text: item.view_problem }));
    return lines.length ? make("div", { class: "trouble", role: "note" }, ...lines) : null;
  }

  /** The verdict of a case in a line, and how good the model was found; the referral is a mark of its own. */
  WSI.verdictOf = function ({ words, ai }) {
    const besides = ai?.also?.[0]?.title;
    const [said, ...others] = (words || "No verdict").split(/(?<=\.)\s+(?=The model's |Refer to )/);
    const alone = besides ? said.split(`; ${besides}: `)[0] : said; // the others have bars of their own
    const verdict = alone.replace(/\.$/, "").replace(/= ([<>]) /, "$1\u00a0");
    return { verdict, measured: others.filter((sentence) => !sentence.startsWith("Refer to ")) };
  };

  /** The verdict in large type, and how good the model was found in small. */
  function headline(item) {
    const large = (text) => make("p", { class: "headline", text });
    if (WSI.isStopped(item)) return [large(item.status === "failed" ? "The slide failed" : "The slide was refused")];
    if (item.hidden) return [large("Read the slide first")];
    const { verdict, measured } = WSI.verdictOf(item);
    return [large(verdict), ...measured.map((text) => make("p", { class: "measured", text }))];
  }

  /** Fill the panel with a case; `gallery` is what shows its tiles. */
  WSI.showEvidence = function (host, item, { run, gallery, history }) {
    const { folder, file } = WSI.words.split(item.name);
    const hidden = item.hidden
      ? make("p", { class: "soft", text: "The AI's verdict, heat and tiles appear when your own read is recorded." })
      : null;
    host.replaceChildren(
      make("h2", { tabindex: "-1", id: "case-title" }, folder ? make("small", { text: folder }) : null, file),
      ...headline(item),
      ...[hidden, trouble(item), item.hidden ? null : probabilities(item, run), structures(item), besides(item), callouts(item), history, gallery].filter(Boolean),
      ...(WSI.isStopped(item) ? [] : [caseFacts(item)]),
      ...[modelFacts(run.model, "About the model"), modelFacts(run.beside, "About the other model")].filter(Boolean),
    );
    host.scrollTop = 0;
  };
})();
