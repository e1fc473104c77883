/** Plain words for people: the same ones as in the report. */
(function () {
  "use strict";
  const WSI = (window.WSI = window.WSI || {});

  const FLAGS = {
    blur: "out of focus",
    pen: "pen marks",
    fold: "tissue folds",
    bubble: "air bubbles",
    stain: "unusual stain",
    "out-of-distribution": "unlike the training slides",
    "unreadable-tiles": "some tiles can't be read",
    "few-tiles": "little tissue",
    "unusual-amount": "an unusual amount",
  };
  const STATUS = { ok: "done", partial: "partly read", refused: "refused", failed: "failed" };

  WSI.words = {
    /** A probability with two decimals; never a false 0.00 or 1.00. */
    probability(value) {
      if (value < 0.01) return "<\u20090.01";
      return value > 0.99 ? ">\u20090.99" : value.toFixed(2);
    },
    /** A quantity with its unit. */
    quantity: ({ value, unit }) => `${Number(value.toPrecision(3))}${unit ? ` ${unit}` : ""}`,
    /** An area in mm². */
    area(mm2) {
      if (!mm2) return "none";
      return mm2 >= 9.95 ? `${mm2.toFixed(0)} mm²` : `${mm2.toPrecision(2)} mm²`;
    },
    flag: (name) => FLAGS[name] || name,
    status: (name) => STATUS[name] || name,
    flags: FLAGS,
    count: (n, one, many) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`,
    /** The folder part and the file's own name. */
    split(name) {
      const cut = name.lastIndexOf("/");
      return { folder: name.slice(0, cut + 1), file: name.slice(cut + 1) };
    },
    /** A moment in the person's own time, to the minute. */
    moment(iso) {
      const when = new Date(iso);
      if (Number.isNaN(when.getTime())) return iso;
      return when.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
    },
    /** What a place of an explanation says, -1 to 1. */
    spoken(value, subject) {
      const share = Math.round(Math.abs(value) * 100);
      if (share < 5) return "speaks for nothing";
      return `speaks ${value > 0 ? "for" : "against"} ${subject}, ${share} % of the strongest`;
    },
    /** A length in µm for a scale bar. */
    length: (um) => (um >= 1000 ? `${um / 1000} mm` : `${um} µm`),
    color: ([red, green, blue]) => `rgb(${red} ${green} ${blue})`,
  };

  /** Why a slide has no result; its name, which stands above, is left out. */
  WSI.reasonOf = function ({ name, reason }) {
    const opening = `${WSI.words.split(name).file}: `;
    const from = [`${name}: `, opening].find((start) => reason.startsWith(start));
    return from ? reason.slice(from.length) : reason;
  };

  /** What outlines may be of: the model's classes, or the structures that it marks. */
  WSI.outlineClasses = ({ classes, structures }) => (classes.length ? classes : structures);
  /** The color of one of them as [red, green, blue]; the accent's of none. */
  WSI.outlineColor = (run, kind) => WSI.outlineClasses(run).find(({ name }) => name === kind)?.color ?? [11, 107, 115];

  /** Whether a slide has no result to review. */
  WSI.isStopped = (item) => item.status === "refused" || item.status === "failed";
  /** Whether the slide lies outside what the model learned from. */
  WSI.isUnfamiliar = (item) => item.flags.includes("out-of-distribution") || (item.out_of_distribution ?? 0) > 1;
  /** Flags that tell of poor quality. */
  WSI.flaws = (item) => item.flags.filter((flag) => flag !== "out-of-distribution");
})();
