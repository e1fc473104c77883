/** The worklist: what is suspicious first, then what is reviewed, and last, with its reason, what can't be. */
(function () {
  "use strict";
  const WSI = (window.WSI = window.WSI || {});
  const { make, mark } = WSI;

  const SHOWN = 2; // structures of a row
  const GROUPS = ["To read", "Look first", "The rest", "Reviewed", "Without a result"]; // in this order
  const OUTCOME = { agree: "agreed", disagree: "disagreed", unsure: "unsure" };

  function thumbnail(item, store) {
    if (!item.thumbnail) return make("span", { class: "thumb none" }, WSI.shape(WSI.isStopped(item) ? "stopped" : "partial"));
    return make("img", { class: "thumb", src: store.thumbnail(item.slide), alt: "", loading: "lazy", draggable: "false" });
  }

  function verdict(item, colors) {
    if (WSI.isStopped(item)) return mark("stopped", `${WSI.words.status(item.status)} ${item.code}`);
    if (WSI.isUnread(item)) return make("span", { class: "verdict soft", text: "AI hidden until your own read" });
    if (!item.ai) return make("span", { class: "verdict soft", text: "No verdict" });
    const { label, value, structures } = item.ai;
    if (structures.length) return make("span", { class: "verdict" }, ...marked(structures));
    const swatch = make("i", { class: "swatch", style: { "--swatch": colors.get(label) ?? "var(--soft)" } });
    return make("span", { class: "verdict" }, swatch, label || value?.name || "", make("b", { text: figure(item) }));
  }

  /** The first structures with their amounts; the others are counted. */
  function marked(structures) {
    const swatch = ({ color }) => make("i", { class: "swatch", style: { "--swatch": WSI.words.color(color) } });
    const first = structures.slice(0, SHOWN).map((one) => make("span", { class: "marked" }, swatch(one), one.name, make("b", { text: one.told })));
    return structures.length > SHOWN ? [...first, `and ${structures.length - SHOWN} more`] : first;
  }

  /** The value of a model without classes, the positive probability, or that of the grade. */
  function figure({ ai }) {
    if (ai.value) return WSI.words.quantity(ai.value);
    const share = ai.probability ?? ai.probabilities[ai.label] ?? null;
    return share === null ? "" : WSI.words.probability(share);
  }

  function marks(item) {
    const found = [];
    if (item.status === "partial") found.push(mark("partial", "partly read"));
    if (item.refer && item.ai) found.push(mark("refer", "refer"));
    if (WSI.isUnfamiliar(item)) found.push(mark("unfamiliar", "unlike training"));
    for (const flaw of WSI.flaws(item)) found.push(mark("quality", WSI.words.flag(flaw)));
    return make("span", { class: "marks" }, ...found);
  }

  function done(item) {
    if (!item.reviewed) return null;
    const outcome = OUTCOME[item.decision?.verdict] ?? "reviewed";
    return make("span", { class: "done" }, WSI.shape("reviewed"), outcome);
  }

  /** The group of a case; who is referred or unlike the training stands out by marks, and not by group. */
  function groupOf(item, threshold) {
    if (WSI.isStopped(item)) return "Without a result";
    if (item.reviewed) return "Reviewed";
    if (WSI.isUnread(item)) return "To read";
    return (item.suspicion ?? 0) >= threshold ? "Look first" : "The rest";
  }

  class Worklist {
    /** @param {Element} host @param {{store, run, onOpen: function(string): void}} desk */
    constructor(host, { store, run, onOpen }) {
      Object.assign(this, { host, store, run, onOpen, items: [], asked: {}, words: "", current: null });
      this.colors = new Map(run.classes.map(({ name, color }) => [name, WSI.words.color(color)]));
      this.threshold = run.model?.threshold ?? 0.5;
      this.build();
    }

    build() {
      this.search = make("input", { type: "search", placeholder: "Find a case", "aria-label": "Find a case", "aria-keyshortcuts": "/" });
      this.search.addEventListener("input", () => this.set({ words: this.search.value }));
      const filters = WSI.filterControls([...this.colors.keys()], (asked) => this.set({ asked }));
      this.next = WSI.button("Next to review", { key: "n", kind: "main wide", onclick: () => this.openNext() });
      this.next.append(make("kbd", { text: "n", "aria-hidden": "true" }));
      this.count = make("p", { class: "count", role: "status" });
      this.list = make("div", { class: "cases" });
      this.list.addEventListener("keydown", (event) => this.walk(event));
      this.host.append(make("div", { class: "tools" }, this.next, this.search, filters, this.count), this.list);
    }

    set(change) {
      Object.assign(this, change);
      this.render();
    }

    /** Show these cases: by group, and within each in the server's order. */
    show(items) {
      this.set({ items });
    }

    get groups() {
      const found = WSI.sift(this.items, this.asked, this.words);
      const groups = GROUPS.map((name) => [name, found.filter((item) => groupOf(item, this.threshold) === name)]);
      return groups.filter(([, items]) => items.length);
    }

    get shown() {
      return this.groups.flatMap(([, items]) => items);
    }

    render() {
      const { groups, shown } = this;
      this.list.replaceChildren(...groups.map(([name, items]) => this.group(name, items)));
      if (!shown.length) this.list.append(this.emptiness());
      this.tell(shown.length);
    }

    /** Say how far the review is. */
    tell(count) {
      const all = this.items.filter((item) => !WSI.isStopped(item));
      const reviewed = all.filter((item) => item.reviewed).length;
      const shown = count === this.items.length ? "" : `${count} of ${this.items.length} shown · `;
      this.count.textContent = `${shown}${reviewed} of ${all.length} reviewed`;
      this.next.disabled = !this.nextOf();
    }

    emptiness() {
      const words = this.items.length
        ? "No case answers the filter. Clear the search or set filters to any."
        : "This folder holds no case yet. Run wsi-run SLIDES -o OUT, then load this page again.";
      return make("p", { class: "nothing", text: words });
    }

    group(name, items) {
      const title = make("h2", { text: `${name} ` }, make("small", { text: items.length }));
      return make("section", {}, title, make("ul", {}, ...items.map((item) => make("li", {}, this.row(item)))));
    }

    row(item) {
      const { folder, file } = WSI.words.split(item.name);
      const name = make("span", { class: "name" }, folder ? make("small", { text: folder }) : null, file);
      const reason = WSI.isStopped(item) ? make("span", { class: "reason", text: WSI.reasonOf(item) }) : null;
      return make(
        "button",
        {
          type: "button",
          class: `case${item.reviewed ? " is-done" : ""}`,
          "data-slide": item.slide,
          "aria-current": item.slide === this.current ? "true" : null,
          on: { click: () => this.onOpen(item.slide) },
        },
        thumbnail(item, this.store),
        make("span", { class: "about" }, name, verdict(item, this.colors), reason, marks(item), done(item)),
      );
    }

    rowOf(slide) {
      return this.list.querySelector(`[data-slide="${CSS.escape(slide)}"]`);
    }

    /** Mark the case that is open. */
    mark(slide) {
      this.current = slide;
      for (const row of this.list.querySelectorAll("[aria-current]")) row.removeAttribute("aria-current");
      const row = this.rowOf(slide);
      row?.setAttribute("aria-current", "true");
      row?.scrollIntoView({ block: "nearest" });
      this.next.disabled = !this.nextOf();
    }

    /** The first case to review after the open one, from the top again at the end; null when all are done. */
    nextOf() {
      const { shown } = this;
      const at = shown.findIndex(({ slide }) => slide === this.current);
      const around = [...shown.slice(at + 1), ...shown.slice(0, at + 1)];
      return around.find((item) => !item.reviewed && !WSI.isStopped(item) && item.slide !== this.current) ?? null;
    }

    openNext() {
      const item = this.nextOf();
      if (item) this.onOpen(item.slide);
      else WSI.say("All cases shown here are reviewed.");
    }

    /** Open the neighbor of the open case; `step` is 1 or -1. */
    openNeighbor(step) {
      const slides = this.shown.map(({ slide }) => slide);
      const slide = slides[slides.indexOf(this.current) + step];
      if (slide) this.onOpen(slide);
    }

    /** Arrow keys walk from row to row. */
    walk(event) {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      const rows = [...this.list.querySelectorAll(".case")];
      const at = rows.indexOf(document.activeElement);
      if (!step || at < 0) return;
      event.preventDefault();
      rows[Math.min(Math.max(at + step, 0), rows.length - 1)].focus();
    }
  }

  WSI.Worklist = Worklist;
})();
