/** What the person says: their own read first where the review is blind, then agree, disagree or unsure. */
(function () {
  "use strict";
  const WSI = (window.WSI = window.WSI || {});
  const { make } = WSI;

  const VERDICTS = [
    ["agree", "Agree", "a"],
    ["disagree", "Disagree", "x"],
    ["unsure", "Unsure", "u"],
  ];
  const REASONS = [
    "The model missed something",
    "The model saw something that isn't there",
    "Another grade",
    "Poor quality or artifact",
    "Not the tissue the model is for",
    "Other",
  ];
  const NAME = "wsi-reviewer";
  const UNSURE = ""; // the value of "can't tell" among the grades

  class Decision {
    /**
     * @param {Element} host
     * @param {{run, draw: Draw, onDraw: function(): void, onSubmit: function(Object, Object): Promise, onNext: function(): void}} desk
     */
    constructor(host, { run, draw, onDraw, onSubmit, onNext }) {
      Object.assign(this, { host, run, draw, onDraw, onSubmit, onNext, item: null, verdict: null, isBusy: false });
      this.form = make("form", { class: "decision", on: { submit: (event) => (event.preventDefault(), this.submit()) } });
      host.append(this.form);
    }

    get isOwn() {
      return Boolean(this.item?.hidden);
    }

    /** Ask about a case; nothing is asked about none, nor about one without a result. */
    show(item) {
      Object.assign(this, { item, verdict: null, next: null });
      this.host.hidden = !item || WSI.isStopped(item);
      if (item) this.render();
    }

    render() {
      const title = this.isOwn ? "Your own read" : this.item.reviewed ? "Decide again" : "Your decision";
      this.who = make("input", { name: "who", autocomplete: "name", required: true, value: this.name, "aria-label": "Your name" });
      this.who.placeholder = "Your name";
      this.who.readOnly = Boolean(this.run.reviewer);
      this.grade = this.grades();
      this.reason = make("select", { name: "reason", "aria-label": "Reason" }, make("option", { value: "", text: "Reason (may stay open)" }));
      for (const text of REASONS) this.reason.append(make("option", { value: text, text }));
      this.comment = make("textarea", { name: "comment", rows: 2, placeholder: "Comment", "aria-label": "Comment", maxlength: 4000 });
      this.more = make("div", { class: "more" }, this.grade, this.reason, this.comment, this.outlines());
      const words = this.isOwn ? "Record and show the AI" : this.run.read_only ? "Save as a file" : "Record decision";
      this.send = make("button", { type: "submit", class: "button main wide", text: words, "aria-keyshortcuts": "Control+Enter" });
      this.send.title = `${words} (Ctrl+Enter)`;
      this.form.replaceChildren(
        make("div", { class: "head" }, make("h3", { text: title }), this.who),
        ...(this.isOwn ? [] : [this.verdicts()]),
        this.more,
        this.send,
        ...this.onward(),
      );
      this.settle();
    }

    /** What leads on from a case that is done. */
    onward() {
      if (!this.item.reviewed) return [];
      this.next = WSI.button("Next case", { key: "n", kind: "quiet wide", onclick: () => this.onNext() });
      return [this.next];
    }

    get name() {
      return this.run.reviewer || window.localStorage.getItem(NAME) || "";
    }

    verdicts() {
      this.buttons = VERDICTS.map(([value, label, key]) => {
        const button = WSI.button(label, { key, kind: "choice", pressed: false, onclick: () => this.choose(value) });
        button.append(make("kbd", { text: key, "aria-hidden": "true" }));
        return [value, button];
      });
      return make("div", { class: "verdicts", role: "group", "aria-label": "Do you agree?" }, ...this.buttons.map(([, button]) => button));
    }

    grades() {
      const names = this.run.classes.map(({ name }) => name);
      const options = names.map((name) =>
        make("label", {}, make("input", { type: "radio", name: "grade", value: name }), make("span", { text: name })),
      );
      if (this.isOwn) options.push(make("label", {}, make("input", { type: "radio", name: "grade", value: UNSURE }), make("span", { text: "Can't tell" })));
      const legend = make("legend", { text: this.isOwn ? "You see" : "Your grade" });
      const set = make("fieldset", { class: "grades", hidden: !options.length }, legend, ...options);
      set.addEventListener("change", () => (this.draw.kind = this.chosenGrade ?? this.draw.kind));
      return set;
    }

    /** What is picked: a grade, UNSURE, or null for nothing yet. */
    get picked() {
      return this.grade.querySelector("input:checked")?.value ?? null;
    }

    get chosenGrade() {
      return this.picked || null;
    }

    pick(value) {
      for (const radio of this.grade.querySelectorAll("input")) radio.checked = radio.value === value;
    }

    outlines() {
      this.drawn = make("ul", { class: "drawn" });
      this.pen = WSI.button("Draw", { shape: "draw", key: "d", pressed: false, onclick: () => this.onDraw() });
      this.pen.disabled = !this.item?.view;
      return make("div", { class: "outlines" }, this.pen, this.drawn);
    }

    /** Bring the list of outlines up to what is drawn. */
    followDrawing() {
      if (!this.item) return;
      this.pen.setAttribute("aria-pressed", String(this.draw.isOn));
      this.drawn.replaceChildren(...this.draw.shapes.map((shape, index) => this.outline(shape, index)));
      this.settle();
    }

    outline({ kind }, index) {
      const pick = make("select", { "aria-label": `Class of outline ${index + 1}` }, make("option", { value: "", text: "no class" }));
      for (const { name } of WSI.outlineClasses(this.run)) pick.append(make("option", { value: name, text: name }));
      pick.value = kind;
      pick.addEventListener("change", () => this.draw.classify(index, pick.value));
      const label = `Delete outline ${index + 1}`;
      const bin = WSI.button(label, { shape: "bin", quiet: true, onclick: () => this.draw.remove(index) });
      const isChosen = index === this.draw.selected;
      return make("li", { class: isChosen ? "chosen" : null }, `Outline ${index + 1}`, pick, bin);
    }

    choose(verdict) {
      if (!this.item || WSI.isStopped(this.item)) return;
      if (this.isOwn) {
        if (verdict === "unsure") this.pick(UNSURE);
        return;
      }
      this.verdict = verdict;
      this.settle();
    }

    /** Show what the chosen verdict needs. */
    settle() {
      if (!this.item) return;
      for (const [value, button] of this.buttons ?? []) button.setAttribute("aria-pressed", String(value === this.verdict));
      const isOpen = this.isOwn || this.verdict !== null || this.draw.shapes.length > 0 || this.draw.isOn;
      this.more.hidden = !isOpen;
      this.grade.hidden = (!this.run.classes.length && !this.isOwn) || this.verdict === "agree";
      this.reason.hidden = this.isOwn || this.verdict === "agree";
      this.send.disabled = this.isBusy || (!this.isOwn && this.verdict === null);
    }

    /** Why this can't be recorded yet, in words; empty when it can. */
    fault() {
      if (!this.isOwn && !this.verdict) return "Choose agree (a), disagree (x) or unsure (u) first.";
      if (!this.who.value.trim()) return "Say who you are: your name goes with the decision.";
      const isGradeDue = this.run.classes.length && (this.isOwn || this.verdict === "disagree");
      if (isGradeDue && this.picked === null) return "Choose the grade that you see.";
      const isSame = this.verdict === "disagree" && this.chosenGrade !== null && this.chosenGrade === this.item.ai?.label;
      if (isSame) return "That is the model's grade: agree (a), or choose another one.";
      const open = this.draw.draft?.length ? WSI.shapes.fault(this.draw.draft) : "";
      return open ? `An outline isn't closed. ${open} Esc drops it.` : "";
    }

    entry() {
      const agreed = this.verdict === "agree" ? (this.item.ai?.label ?? null) : null;
      return {
        who: this.who.value.trim(),
        stage: this.isOwn ? "own" : "final",
        verdict: this.isOwn ? (this.picked === UNSURE ? "unsure" : null) : this.verdict,
        grade: agreed ?? this.chosenGrade,
        reason: this.reason.hidden ? "" : this.reason.value,
        comment: this.comment.value.trim(),
        shapes: WSI.shapes.collection(this.draw.shapes, (kind) => WSI.outlineColor(this.run, kind)),
        seen: this.item.decisions.length,
      };
    }

    /** What is chosen and typed, to come back to. */
    draft() {
      return { verdict: this.verdict, grade: this.picked, reason: this.reason.value, comment: this.comment.value };
    }

    /** Take up a draft again. */
    take(draft) {
      if (!draft) return;
      this.verdict = draft.verdict;
      this.reason.value = draft.reason;
      this.comment.value = draft.comment;
      this.pick(draft.grade);
      this.settle();
    }

    async submit() {
      if (!this.item || this.host.hidden || this.isBusy) return;
      const fault = this.fault();
      if (fault) {
        WSI.say(fault, "trouble");
        (this.who.value.trim() ? this.grade.querySelector("input") : this.who)?.focus();
        return;
      }
      this.draw.close();
      window.localStorage.setItem(NAME, this.who.value.trim());
      this.isBusy = true;
      this.settle();
      try {
        await this.onSubmit(this.item, this.entry());
      } catch (error) {
        if (!(error instanceof WSI.StoreError)) throw error;
        WSI.say(`Not recorded. ${error.message}`, "trouble");
      } finally {
        this.isBusy = false;
        this.settle();
      }
    }

    focusGrade() {
      (this.grade.querySelector("input:checked") ?? this.grade.querySelector("input"))?.focus();
    }
  }

  WSI.Decision = Decision;
})();
