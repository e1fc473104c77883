/** The desk: puts the parts together, opens cases, and records decisions. */
(function () {
  "use strict";
  const WSI = (window.WSI = window.WSI || {});
  const { make, find } = WSI;

  const SLOW_MS = 900; // before the page says that a case takes its time
  const NARROW_PANE = 400; // CSS px
  const NARROW = window.matchMedia("(max-width: 1100px)");

  class Desk {
    async start() {
      this.store = WSI.makeStore();
      this.run = await this.store.run();
      this.drafts = new WSI.Drafts(this.run);
      this.item = null;
      this.build();
      this.head();
      await this.refresh();
      window.addEventListener("hashchange", () => this.openLinked());
      window.addEventListener("pagehide", () => this.keepDraft());
      window.addEventListener("unhandledrejection", (event) => this.tellLost(event));
      this.bar.show();
      if (!this.list.items.length) this.stage.tell("This folder holds no case yet.");
      else if (!this.openLinked()) this.openFirst();
    }

    build() {
      const { store, run } = this;
      this.list = new WSI.Worklist(find("worklist"), { store, run, onOpen: (slide) => this.link(slide) });
      this.stage = new WSI.Stage(find("stage-panes"), {
        store,
        run,
        cases: () => this.list.items,
        onSplit: (isTwo) => this.makeRoom(isTwo),
        onLook: () => this.syncTools?.(),
      });
      this.bar = new WSI.HeatBar(find("heatbar"), () => this.stage.panes);
      this.draw = new WSI.Draw(this.stage.main.viewer, () => this.followDrawing());
      this.decision = new WSI.Decision(find("decision"), {
        run,
        draw: this.draw,
        onDraw: () => this.startDrawing(),
        onSubmit: (item, entry) => this.record(item, entry),
        onNext: () => this.list.openNext(),
      });
      const table = WSI.keyTable(this.commands());
      WSI.listenForKeys(table);
      WSI.buildHelp(table);
      this.syncTools = WSI.buildTools(find("stage-tools"), this.commands());
      this.folds();
    }

    /** What keys and buttons act on. */
    commands() {
      const { list, bar, decision, draw, stage } = this;
      const act = {
        draw: () => this.startDrawing(),
        threshold: () => this.modelThreshold(),
        fold: (name) => this.fold(name),
        find: () => this.find(),
      };
      return { list, bar, decision, draw, stage, act };
    }

    head() {
      const { model, blind, read_only: isReadOnly } = this.run;
      const modes = [blind ? "blind review" : "", isReadOnly ? "read only" : ""].filter(Boolean).join(" · ");
      find("model-line").textContent = [model ? `Model ${model.id} ${model.version}` : "", modes].filter(Boolean).join(" · ");
      find("notice").textContent = this.run.notice;
      find("to-theme").addEventListener("click", () => WSI.flipTheme());
      find("to-help").addEventListener("click", () => WSI.openHelp());
    }

    folds() {
      for (const name of ["list", "evidence"]) find(`to-${name}`).addEventListener("click", () => this.fold(name));
      if (NARROW.matches) this.fold("list");
    }

    fold(name, isOpen = document.body.classList.contains(`no-${name}`)) {
      document.body.classList.toggle(`no-${name}`, !isOpen);
      find(`to-${name}`).setAttribute("aria-expanded", String(isOpen));
    }

    /** Fold the worklist away while two panes would be narrow, and bring it back after. */
    makeRoom(isTwo) {
      const isOpen = !document.body.classList.contains("no-list");
      if (isTwo && isOpen && find("stage-panes").clientWidth < 2 * NARROW_PANE) {
        this.fold("list", false);
        this.isListDue = true;
      } else if (!isTwo && this.isListDue) {
        this.fold("list", true);
        this.isListDue = false;
      }
    }

    /** Open what to review next, or, where all is done, the first case. */
    openFirst() {
      this.link((this.list.nextOf() ?? this.list.items[0]).slide);
    }

    find() {
      this.fold("list", true);
      this.list.search.focus();
    }

    async refresh() {
      this.list.show(await this.store.cases());
    }

    /** Open a case by its address, so that the browser's back and a sent link work. */
    link(slide) {
      const address = `#slide=${encodeURIComponent(slide)}`;
      if (window.location.hash === address) this.open(slide);
      else window.location.hash = address;
      if (NARROW.matches) this.fold("list", false);
    }

    openLinked() {
      const slide = new URLSearchParams(window.location.hash.slice(1)).get("slide");
      const isThere = this.list.items.some((item) => item.slide === slide);
      if (isThere) this.open(slide);
      else if (slide) WSI.say("The link names a case that isn't in this run.", "trouble");
      return isThere;
    }

    /** Open a case; until it is there nothing can be recorded, on none. */
    async open(slide) {
      this.keepDraft();
      const asked = (this.asked = Symbol("the case that was asked for last"));
      const isWanted = () => this.asked === asked;
      this.opening = slide;
      this.item = null;
      this.decision.show(null);
      this.list.mark(slide);
      const slow = window.setTimeout(() => isWanted() && this.clear("Opening the case. The disk takes its time."), SLOW_MS);
      try {
        const item = await this.store.case(slide);
        window.clearTimeout(slow);
        if (isWanted()) await this.showCase(item);
      } catch (error) {
        if (!(error instanceof WSI.StoreError)) throw error;
        if (isWanted() && !this.item) this.clear(error.message); // a case whose heat alone is lost stays open
        WSI.say(error.message, "trouble");
      } finally {
        window.clearTimeout(slow);
      }
    }

    /** Show words instead of a case: what is told of the one before would be taken for this one's. */
    clear(words) {
      document.title = "Review";
      find("evidence").replaceChildren(make("p", { class: "soft", text: words }));
      this.stage.clear(words);
    }

    async showCase(item) {
      this.item = item;
      document.title = `${item.name} · Review`;
      const { mine, others } = WSI.lastOutlines(item.decisions, this.decision.name);
      const history = WSI.history(item.decisions);
      const gallery = WSI.gallery(item, { store: this.store, onOpen: (tile) => WSI.flyToTile(this.stage.main, tile) });
      WSI.showEvidence(find("evidence"), item, { run: this.run, gallery, history });
      const draft = this.drafts.get(item.slide);
      this.decision.show(item);
      this.draw.kind = this.hotClass();
      this.draw.reset(draft?.shapes ?? mine, draft?.open);
      this.decision.take(draft);
      const shown = this.stage.show(item, { draw: this.draw, past: new WSI.Outlines({ features: others }) });
      this.bar.show();
      await shown.finally(() => this.item === item && this.bar.show());
    }

    /** The class that outlines get first: the one of the worst grade, or the last structure. */
    hotClass() {
      return WSI.outlineClasses(this.run).at(-1)?.name ?? "";
    }

    /** Say what nobody waits for and didn't come: another layer, or the slide beside. */
    tellLost(event) {
      if (!(event.reason instanceof WSI.StoreError)) return;
      event.preventDefault();
      WSI.say(event.reason.message, "trouble");
    }

    keepDraft() {
      if (!this.item) return;
      const { shapes, draft: open } = this.draw;
      const draft = { ...this.decision.draft(), shapes, open };
      const isEmpty = !draft.verdict && draft.grade === null && !draft.reason && !draft.comment && !shapes.length && !open?.length;
      this.drafts.keep(this.item.slide, isEmpty ? null : draft);
    }

    followDrawing() {
      this.stage.hint.hidden = !this.draw?.isOn;
      this.decision?.followDrawing();
      this.syncTools?.();
    }

    startDrawing() {
      if (this.item?.image?.is_volume) return WSI.say("Nothing can be drawn on the slices of a volume here.");
      if (!this.item?.view || WSI.isStopped(this.item)) return;
      this.draw.turn(!this.draw.isOn);
      if (this.draw.isOn) this.stage.main.viewer.host.focus();
    }

    modelThreshold() {
      const { heat } = this.stage.main;
      const limit = this.run.model?.threshold ?? null;
      if (!heat || limit === null || heat.layer.kind !== "score") return;
      const share = (limit - heat.layer.low) / (heat.layer.high - heat.layer.low);
      this.bar.setThreshold(WSI.heatLook.threshold === share ? 0 : share);
    }

    async record(item, entry) {
      const { read_only: isReadOnly } = this.run;
      const kept = await this.keep(item, entry);
      this.drafts.keep(item.slide, null);
      if (this.item === item) this.item = null;
      const isOwn = entry.stage === "own";
      if (isReadOnly) WSI.say("Saved as decisions.json on this device; wsi-run audit take OUT decisions.json adds it to the run.");
      else WSI.say(isOwn ? "Your own read is recorded. Here is the AI." : `Recorded as no. ${kept.sequence}.`);
      if (!isReadOnly && !(await this.follow(kept))) return;
      if (this.opening !== item.slide) return; // who recorded has gone on to another case
      await this.open(item.slide);
      if (isOwn) find("case-title").focus();
      else if (document.body.classList.contains("no-list")) this.decision.next?.focus();
      else this.list.next.focus();
    }

    /** Bring the worklist up to what was recorded; return false, and say both, where the server is lost since. */
    async follow({ sequence, slide }) {
      try {
        await this.refresh();
        return true;
      } catch (error) {
        if (!(error instanceof WSI.StoreError)) throw error;
        if (this.opening === slide) this.decision.show(null);
        WSI.say(`Recorded as no. ${sequence}. ${error.message}`, "trouble");
        return false;
      }
    }

    /** Hand a decision on; where somebody decided meanwhile, it comes back with what they said. */
    async keep(item, entry) {
      try {
        return (await (this.run.read_only ? WSI.handOut : this.store.decide)(item.slide, entry)).entry;
      } catch (error) {
        if (error.status === 409 && this.opening === item.slide) await this.refresh().then(() => this.open(item.slide));
        throw error;
      }
    }
  }

  function failed(error) {
    const words = error instanceof WSI.StoreError ? error.message : "The page couldn't start. Load it again.";
    find("stage-panes").replaceChildren(make("div", { class: "empty-stage" }, make("p", { text: words })));
    if (!(error instanceof WSI.StoreError)) throw error;
  }

  WSI.desk = new Desk();
  WSI.ready = WSI.desk.start().catch(failed);
})();
