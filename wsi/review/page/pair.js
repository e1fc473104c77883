/** Two panes that move as one: by as much tissue where both scales are known, else by as many px of the file. */
(function () {
  "use strict";
  const WSI = (window.WSI = window.WSI || {});
  const { make } = WSI;

  const poseOf = ({ x, y, scale, rotation }) => ({ x, y, scale, rotation });

  class Pair {
    constructor(one, other) {
      Object.assign(this, { panes: [one, other], isOn: true, isFollowing: false, poses: new Map() });
      one.viewer.onMove(() => this.follow(one, other));
      other.viewer.onMove(() => this.follow(other, one));
    }

    /** The choice of the second slide, and whether it moves along. */
    controls(others, onPick) {
      const pick = make("select", { "aria-label": "Slide on the right" });
      for (const { slide, name } of others) pick.append(make("option", { value: slide, text: name }));
      pick.addEventListener("change", () => onPick(pick.value));
      const tie = make("input", { type: "checkbox", checked: true });
      tie.addEventListener("change", () => (this.isOn = tie.checked));
      return make("div", { class: "beside" }, pick, make("label", {}, tie, " move as one"));
    }

    /** Let both show their whole slide, at one magnification where both scales are known; then they move as one. */
    align() {
      const { isOn } = this;
      this.isOn = false;
      for (const { viewer } of this.panes) {
        viewer.resize();
        viewer.camera.fit();
      }
      const spans = this.panes.map(({ item, viewer }) => (item.view?.mpp ?? NaN) / viewer.camera.scale);
      const coarsest = Math.max(...spans);
      this.panes.forEach(({ viewer }, at) => {
        if (coarsest) viewer.camera.scale *= spans[at] / coarsest;
        viewer.follow();
      });
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
