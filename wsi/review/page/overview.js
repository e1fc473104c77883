/** The small picture of the whole slide with a frame around what is seen, and the ruler with the magnification. */
(function () {
  "use strict";
  const WSI = (window.WSI = window.WSI || {});

  const LONGEST = 168; // CSS px of the overview
  const WIDEST = 150; // CSS px of the ruler
  const UM_AT_1X = 10; // µm a px at 1×: 10× is 1 µm/px, 40× is 0.25

  class Overview {
    constructor(viewer) {
      this.viewer = viewer;
      this.image = WSI.make("img", { alt: "", draggable: "false" });
      this.frame = WSI.make("div", { class: "frame" });
      this.host = WSI.make("div", { class: "overview", "aria-hidden": "true" }, this.image, this.frame);
      viewer.host.append(this.host);
      viewer.onMove(() => this.follow());
      for (const kind of ["pointerdown", "pointermove"]) this.host.addEventListener(kind, (event) => this.go(event));
    }

    show(address) {
      const { view, camera } = this.viewer;
      this.host.hidden = !view || !address;
      if (this.host.hidden) return;
      const { width, height } = camera.bounds;
      this.px = Math.min(LONGEST / width, LONGEST / height);
      this.host.style.width = `${width * this.px}px`;
      this.host.style.height = `${height * this.px}px`;
      this.image.src = address;
    }

    follow() {
      if (this.host.hidden) return;
      const { camera } = this.viewer;
      const width = (camera.width / camera.scale) * this.px;
      const height = (camera.height / camera.scale) * this.px;
      this.frame.style.width = `${Math.max(width, 5)}px`;
      this.frame.style.height = `${Math.max(height, 5)}px`;
      this.frame.style.transform =
        `translate(${(camera.x - camera.bounds.x) * this.px}px, ${(camera.y - camera.bounds.y) * this.px}px) translate(-50%, -50%) rotate(${-camera.rotation}rad)`;
    }

    go(event) {
      event.stopPropagation();
      if (!event.buttons) return;
      if (event.type === "pointerdown") this.host.setPointerCapture(event.pointerId);
      const box = this.host.getBoundingClientRect();
      const { camera } = this.viewer;
      camera.rest();
      camera.x = camera.bounds.x + (event.clientX - box.left) / this.px;
      camera.y = camera.bounds.y + (event.clientY - box.top) / this.px;
      camera.hold();
      this.viewer.redraw();
    }
  }

  /** Return the largest 1, 2 or 5 times a power of ten that is at most `most`. */
  WSI.roundLength = function (most) {
    const power = 10 ** Math.floor(Math.log10(most));
    return [5, 2, 1].map((step) => step * power).find((length) => length <= most * (1 + 1e-9));
  };

  /** Return the scale (CSS px a level-0 px) at which a slide of that mpp is seen at a magnification. */
  WSI.scaleAt = (magnification, mpp) => (mpp * magnification) / UM_AT_1X;

  class Ruler {
    constructor(viewer) {
      this.viewer = viewer;
      this.bar = WSI.make("div", { class: "bar-line" });
      this.words = WSI.make("span");
      this.host = WSI.make("div", { class: "ruler" }, this.words, this.bar);
      viewer.host.append(this.host);
      viewer.onMove(() => this.follow());
    }

    follow() {
      const { view, camera } = this.viewer;
      this.host.hidden = !view;
      if (!view) return;
      this.bar.hidden = !view.mpp;
      const told = view.mpp ? this.measure(view.mpp / camera.scale) : `${(camera.scale * 100).toFixed(0)} % of the file's px; no scale known`;
      this.words.textContent = told + (this.isBeyond() ? " · finer levels aren't in this folder" : "");
    }

    /** Draw the bar at so many µm a px and return what it says. */
    measure(mpp) {
      const length = WSI.roundLength(WIDEST * mpp);
      this.bar.style.width = `${length / mpp}px`;
      return `${WSI.words.length(length)} · ${Number((UM_AT_1X / mpp).toPrecision(2))}×`;
    }

    /** Whether a finer level than the folder holds would be shown. */
    isBeyond() {
      const { view, camera, dense } = this.viewer;
      return view.is_coarse && camera.scale * dense * view.levels[0].downsample > WSI.SOFTEST;
    }
  }

  WSI.Overview = Overview;
  WSI.Ruler = Ruler;
})();
