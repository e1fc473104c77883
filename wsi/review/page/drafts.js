/** What was chosen, typed and drawn and isn't recorded yet: it outlives the way to other cases and a reload of the page. */
(function () {
  "use strict";
  const WSI = (window.WSI = window.WSI || {});

  class Drafts {
    /** One page after another may be of another run or another person, at the same address. */
    constructor({ out, model, reviewer }) {
      this.place = `wsi-drafts ${window.location.pathname} ${out} ${model?.sha256 ?? ""} ${reviewer}`;
      try {
        this.kept = new Map(JSON.parse(window.sessionStorage.getItem(this.place) ?? "[]"));
      } catch {
        this.kept = new Map();
      }
    }

    get(slide) {
      return this.kept.get(slide) ?? null;
    }

    /** Keep a case's draft; null forgets it. */
    keep(slide, draft) {
      if (draft) this.kept.set(slide, draft);
      else this.kept.delete(slide);
      this.store();
    }

    /** Forget all. */
    clear() {
      this.kept.clear();
      this.store();
    }

    store() {
      try {
        window.sessionStorage.setItem(this.place, JSON.stringify([...this.kept]));
      } catch {
        WSI.say("The browser has no room for what isn't recorded yet: until it is, don't reload or close this page.", "trouble");
      }
    }
  }

  WSI.Drafts = Drafts;
})();
