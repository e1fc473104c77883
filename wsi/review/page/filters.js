/** Which cases of the worklist are shown: pure questions about a case, and the controls that ask them. */
(function () {
  "use strict";
  const WSI = (window.WSI = window.WSI || {});

  const ANY = "";
  const SURE = 0.9;

  /** Whether the AI's result is held back until the own read. */
  WSI.isUnread = (item) => item.ai === null && item.refer === null && !WSI.isStopped(item);

  const QUESTIONS = {
    status: (item, asked) => item.status === asked,
    mark(item, asked) {
      if (asked === "refer") return Boolean(item.refer);
      if (asked === "unfamiliar") return WSI.isUnfamiliar(item);
      return asked === "quality" ? WSI.flaws(item).length > 0 : item.flags.includes(asked);
    },
    grade: (item, asked) => item.ai?.label === asked,
    confidence(item, asked) {
      const confidence = item.ai?.confidence ?? null;
      return confidence !== null && (asked === "sure" ? confidence >= SURE : confidence < SURE);
    },
    reviewed: (item, asked) => item.reviewed === (asked === "yes"),
  };

  /** Return the cases that answer all that is asked; `words` must each be part of the name, grade or reason. */
  WSI.sift = function (items, asked, words) {
    const parts = words.toLowerCase().split(/\s+/).filter(Boolean);
    return items.filter((item) => {
      const text = `${item.name} ${item.ai?.label ?? ""} ${item.code ?? ""} ${item.reason ?? ""}`.toLowerCase();
      const isNamed = parts.every((part) => text.includes(part));
      return isNamed && Object.entries(asked).every(([name, value]) => value === ANY || QUESTIONS[name](item, value));
    });
  };

  function choice(label, options, onChange) {
    const select = WSI.make("select", { on: { change: () => onChange(select.value) } });
    for (const [value, text] of [[ANY, "any"], ...options]) select.append(WSI.make("option", { value, text }));
    return WSI.make("label", {}, WSI.make("span", { text: label }), select);
  }

  /**
   * Return the controls, folded away under one line that says how many are in use.
   * @param {string[]} grades the model's classes
   * @param {function(Object): void} onChange gets what is asked now
   */
  WSI.filterControls = function (grades, onChange) {
    const asked = {};
    const title = WSI.make("summary", { text: "Filter" });
    const change = (name) => (value) => {
      asked[name] = value;
      const count = Object.values(asked).filter((one) => one !== ANY).length;
      title.textContent = count ? `Filter (${count} on)` : "Filter";
      onChange({ ...asked });
    };
    const marks = [["refer", "refer"], ["unfamiliar", "unlike the training slides"], ["quality", "poor quality"]];
    const flaws = Object.entries(WSI.words.flags).filter(([name]) => name !== "out-of-distribution");
    return WSI.make(
      "details",
      { class: "filters" },
      title,
      choice("Status", ["ok", "partial", "refused", "failed"].map((one) => [one, WSI.words.status(one)]), change("status")),
      choice("Mark", [...marks, ...flaws], change("mark")),
      choice("Grade", grades.map((one) => [one, one]), change("grade")),
      choice("Confidence", [["unsure", `below ${SURE}`], ["sure", `${SURE} or more`]], change("confidence")),
      choice("Review", [["no", "to do"], ["yes", "done"]], change("reviewed")),
    );
  };
})();
