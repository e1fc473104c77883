/** Two panes that move as one: by as much tissue where both scales are known, else by as many px of the file. */
(function () {
  "use strict";
  const WSI = (window.WSI = window.WSI || {});
  const { make } = WSI;

  const poseOf = ({ x, y, scale, rotation }) => ({ x, y, scale, rotation });

  class Pair {
    constructor(one, other) {
      Object.assign(this, { panes: [one, other], isOn: true, isFollowing: false, poses: new Map() });
      this.part = one.viewer.onMove(() => this.follow(one, other));
      other.viewer.onMove(() => this.follow(other, one));
    }

    /**
     * What is shown on the right, and whether it moves along.
     * @param {{label: string, options: string[][]}[]} groups of value and words
     */
    controls(groups, onPick) {
      const options = (rows) => rows.map(([value, text]) => make("option", { value, text }));
      const sets = groups.filter((group) => group.options.length);
      const pick = make("select", { "aria-label": "On the right" });
      pick.append(...sets.map(({ label, options: rows }) => make("optgroup", { label }, ...options(rows))));
      pick.addEventListener("change", () => onPick(pick.value));
      const tie = make("input", { type: "checkbox", checked: true });
      tie.addEventListener("change", () => (this.isOn = tie.checked));
      return make("div", { class: "beside" }, pick, make("label", {}, tie, " move as one"));
    }

    /** Let the other look where this one does: of the same slide, so px for px. */
    join() {
      this.apart(([one, other]) => Object.assign(other.viewer.camera, poseOf(one.viewer.camera)));
    }

    /** Let both show their whole slide, at one magnification where both scales are known. */
    align() {
      this.apart((panes) => {
        for (const { viewer } of panes) viewer.camera.fit();
        const spans = panes.map(({ item, viewer }) => (item.view?.mpp ?? NaN) / viewer.camera.scale);
        const coarsest = Math.max(...spans);
        if (coarsest) panes.forEach(({ viewer }, at) => (viewer.camera.scale *= spans[at] / coarsest));
      });
    }

    /** Place both by themselves; from then on they move as one again. */
    apart(place) {
      const { isOn, panes } = this;
      this.isOn = false;
      for (const { viewer } of panes) viewer.resize();
      place(panes);
      for (const { viewer } of panes) {
        viewer.follow();
        viewer.redrawLines();
      }
      this.isOn = isOn;
    }

    /** Level-0 px of `other` that are as much tissue as one of `pane`. */
    static ratio(pane, other) {
      const [from, to] = [pane.item?.view?.mpp, other.item?.view?.mpp];
      return from && to ? from / to : 1;
    }

    follow(pane, other) {
      const { camera } = pane.viewer;
      const now = poseOf(camera);
      const from = this.poses.get(pane) ?? now;
      this.poses.set(pane, now);
      const isStill = Object.keys(now).every((name) => now[name] === from[name]);
      if (isStill || !this.isOn || this.isFollowing || !other.item?.view) return;
      const ratio = Pair.ratio(pane, other);
      const follower = other.viewer.camera;
      follower.rest();
      follower.x += (camera.x - from.x) * ratio;
      follower.y += (camera.y - from.y) * ratio;
      follower.scale *= camera.scale / from.scale;
      follower.rotation += camera.rotation - from.rotation;
      follower.hold();
      this.isFollowing = true;
      other.viewer.follow();
      this.isFollowing = false;
      other.viewer.redrawLines();
    }
  }

  WSI.Pair = Pair;
})();
