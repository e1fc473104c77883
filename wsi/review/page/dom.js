/** Elements, shapes and small pieces of page that every part is made of. */
(function () {
  "use strict";
  const WSI = (window.WSI = window.WSI || {});
  const SVG = "http://www.w3.org/2000/svg";

  /** Shapes that tell marks apart without color; each a path in a box of 16 × 16. */
  const SHAPES = {
    refer: "M8 1.5 15 14H1z M7.2 6v4h1.6V6z M7.2 11v1.6h1.6V11z",
    unfamiliar: "M8 .8 15.2 8 8 15.2.8 8z M7.2 4.6v4.2h1.6V4.6z M7.2 10v1.6h1.6V10z",
    quality: "M8 1.2C5 5 3.2 7.4 3.2 10a4.8 4.8 0 0 0 9.6 0C12.8 7.4 11 5 8 1.2z",
    stopped: "M5 1h6l4 4v6l-4 4H5l-4-4V5z M4.5 7v2h7V7z",
    partial: "M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1z M8 3v10A5 5 0 0 1 8 3z",
    reviewed: "M6.2 12.6 1.8 8.2l1.5-1.5 2.9 2.9 6.5-6.5 1.5 1.5z",
    hidden: "M1 8c2-3.3 4.4-5 7-5s5 1.7 7 5c-2 3.3-4.4 5-7 5S3 11.3 1 8z M8 5.4a2.6 2.6 0 1 0 0 5.2 2.6 2.6 0 0 0 0-5.2z",
    list: "M1 3h14v1.6H1z M1 7.2h14v1.6H1z M1 11.4h14V13H1z",
    panel: "M1 2h14v12H1z M9.6 3.5h3.9v9H9.6z",
    theme: "M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1z M8 3a5 5 0 0 1 0 10z",
    help: "M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1z M7.2 10.8h1.6v1.6H7.2z M5.2 6.2a2.8 2.8 0 1 1 4.3 2.3c-.5.4-.7.6-.7 1.2H7.2c0-1.3.6-1.9 1.3-2.4.5-.4.7-.6.7-1.1a1.2 1.2 0 0 0-2.4 0z",
    draw: "M2 14l.8-3.6L10.6 2.6a1.4 1.4 0 0 1 2 0l.8.8a1.4 1.4 0 0 1 0 2L5.6 13.2z",
    bin: "M5.5 1h5l.5 1.5h3V4H2V2.5h3z M3.2 5h9.6l-.8 10H4z",
    two: "M1 2.5h6.4v11H1z M8.6 2.5H15v11H8.6z",
    turn: "M8 2.2a5.8 5.8 0 1 1-5.5 4h1.7A4.2 4.2 0 1 0 8 3.8V6L4.6 3 8 0z",
    fit: "M1 1h5v1.6H2.6V6H1z M10 1h5v5h-1.6V2.6H10z M1 10h1.6v3.4H6V15H1z M13.4 10H15v5h-5v-1.6h3.4z",
    plus: "M7.1 2h1.8v5.1H14v1.8H8.9V14H7.1V8.9H2V7.1h5.1z",
    minus: "M2 7.1h12v1.8H2z",
    heat: "M1 1h4v4H1z M6 1h4v4H6z M1 6h4v4H1z M6 6h4v4H6z M11 6h4v4h-4z M6 11h4v4H6z",
    outline: "M8 2c3.5 0 6 2.2 6 5.6C14 11.4 11 14 7.4 14 4 14 2 11.8 2 8.9 2 5 4.6 2 8 2z M8 3.8c-2.4 0-4.2 2.1-4.2 5 0 2 1.4 3.4 3.6 3.4 2.7 0 4.8-1.9 4.8-4.6 0-2.3-1.7-3.8-4.2-3.8z",
    close: "M3 1.6 8 6.6l5-5L14.4 3l-5 5 5 5-1.4 1.4-5-5-5 5L1.6 13l5-5-5-5z",
  };

  /**
   * Make an element.
   * @param {string} tag
   * @param {Object} [traits] attributes; `text` sets the text, `on` the listeners, `style` custom properties, null is left out
   * @param {...(Node|string|null)} children
   */
  WSI.make = function (tag, traits = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(traits)) {
      if (value === null || value === undefined || value === false) continue;
      if (name === "text") element.textContent = value;
      else if (name === "on") for (const [kind, heard] of Object.entries(value)) element.addEventListener(kind, heard);
      else if (name === "style") for (const [key, set] of Object.entries(value)) element.style.setProperty(key, set);
      else element.setAttribute(name, value === true ? "" : value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
    return element;
  };

  /** Return the shape of that name; it is decoration, so the words beside it say the same. */
  WSI.shape = function (name) {
    const picture = document.createElementNS(SVG, "svg");
    const path = document.createElementNS(SVG, "path");
    for (const [key, value] of Object.entries({ viewBox: "0 0 16 16", class: "shape", "aria-hidden": "true" })) {
      picture.setAttribute(key, value);
    }
    path.setAttribute("d", SHAPES[name]);
    path.setAttribute("fill-rule", "evenodd");
    picture.append(path);
    return picture;
  };

  /** Return a button with a shape; `key` is the key that does the same. */
  WSI.button = function (label, { shape = null, key = null, kind = "quiet", pressed = null, onclick, quiet = false }) {
    const hint = key ? `${label} (${key})` : label;
    return WSI.make(
      "button",
      {
        type: "button",
        class: `button ${kind}`,
        title: hint,
        "aria-label": quiet ? label : null,
        "aria-pressed": pressed === null ? null : String(pressed),
        "aria-keyshortcuts": key,
        on: { click: onclick },
      },
      shape ? WSI.shape(shape) : null,
      quiet ? null : WSI.make("span", { text: label }),
    );
  };

  /** Return a mark: a shape and words, never a color alone. */
  WSI.mark = function (kind, words, more = {}) {
    return WSI.make("span", { class: `mark ${kind}`, ...more }, WSI.shape(kind), words);
  };

  WSI.find = (id) => document.getElementById(id);

  /** Say something in the live region; `kind` is "said" or "trouble". */
  WSI.say = function (words, kind = "said") {
    const line = WSI.make("p", { class: `message ${kind}`, text: words });
    WSI.find("messages").replaceChildren(line);
    window.clearTimeout(WSI.say.timer);
    WSI.say.timer = window.setTimeout(() => line.remove(), kind === "trouble" ? 12000 : 5000);
  };

  /** Whether the person asked for less motion. */
  WSI.still = () => window.matchMedia("(prefers-reduced-motion: reduce)").matches;
})();
