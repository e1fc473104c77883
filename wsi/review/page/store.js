/** Where the page reads from and writes to: the server, or the folder that `--static` made. */
(function () {
  "use strict";
  const WSI = (window.WSI = window.WSI || {});

  /** An answer that isn't a good one: `status` is HTTP's, 0 when nobody answered. */
  class StoreError extends Error {
    constructor(message, status) {
      super(message);
      this.status = status;
    }
  }

  const LOST = "The server doesn't answer. Is wsi-run review still running? What you typed stays here.";

  /** Join a message and an advice, each a sentence. */
  const sentences = (...parts) => parts.filter(Boolean).map((part) => part.replace(/[^.!?]$/, "$&.")).join(" ");

  async function ask(path, options = {}) {
    let answer;
    try {
      answer = await fetch(path, { credentials: "same-origin", ...options });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new StoreError(LOST, 0);
    }
    if (answer.ok) return answer;
    const { error: told } = await answer.json().catch(() => ({}));
    throw new StoreError(told ? sentences(told.message, told.next) : `The server said ${answer.status}.`, answer.status);
  }

  const json = async (path, options) => (await ask(path, options)).json();
  const of = (slide) => `api/cases/${encodeURIComponent(slide)}`;
  /** Where the results of a case lie: this run's, or those of the run beside it. */
  const resultsOf = ({ slide, isOther }) => (isOther ? `${of(slide)}/beside` : of(slide));

  const whole = (box) => Object.fromEntries(Object.entries(box).map(([name, px]) => [name, Math.max(Math.round(px), 0)]));

  const server = {
    run: () => json("api/run"),
    cases: async () => (await json("api/cases")).cases,
    case: (slide) => json(of(slide)),
    /** What the other run's model says of a slide. */
    beside: async (slide) => ({ ...(await json(`${of(slide)}/beside`)), isOther: true }),
    outlines: (item) => json(`${resultsOf(item)}/outlines`),
    thumbnail: (slide) => `${of(slide)}/thumbnail`,
    overlay: (slide) => `${of(slide)}/overlay`,
    crop: (slide, { x, y, width, height, px }) =>
      `${of(slide)}/crop?${new URLSearchParams(whole({ x, y, width, height, px }))}`,
    async tile(slide, level, column, row, signal) {
      const answer = await ask(`${of(slide)}/tiles/${level}/${column}/${row}`, { signal });
      return createImageBitmap(await answer.blob());
    },
    async heat(item, layer) {
      const answer = await ask(`${resultsOf(item)}/heat/${encodeURIComponent(layer)}`);
      return new Uint8Array(await answer.arrayBuffer());
    },
    decide: (slide, entry) =>
      json(`${of(slide)}/decisions`, {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-WSI": "1" },
        body: JSON.stringify(entry),
      }),
  };

  /** Load one of the folder's scripts; a page opened as a file may not fetch. */
  function script(source) {
    return new Promise((resolve, reject) => {
      const element = WSI.make("script", { src: source, on: { load: resolve } });
      element.addEventListener("error", () => reject(new StoreError(`${source} is missing in this folder.`, 404)));
      document.head.append(element);
    });
  }

  function picture(source, signal) {
    const image = new Image();
    signal?.addEventListener("abort", () => image.removeAttribute("src"));
    image.src = source;
    return image.decode().then(
      () => image,
      () => Promise.reject(new StoreError("This part of the slide isn't in the folder.", 404)),
    );
  }

  const folder = (slide) => `data/${encodeURIComponent(slide)}`;
  const kept = [];

  async function page(slide) {
    const { slides } = window.WSI_DATA;
    if (!slides[slide]) await script(`${folder(slide)}/case.js`);
    return slides[slide];
  }

  const results = async ({ slide, isOther }) => (isOther ? (await page(slide)).beside : page(slide));

  const still = {
    run: async () => ({ ...window.WSI_DATA.run, read_only: true }),
    cases: async () => window.WSI_DATA.cases,
    case: async (slide) => (await page(slide)).case,
    beside: async (slide) => ({ ...(await page(slide)).beside.case, isOther: true }),
    outlines: async (item) => (await results(item)).outlines,
    thumbnail: (slide) => `${folder(slide)}/thumbnail.jpg`,
    overlay: (slide) => `${folder(slide)}/overlay.png`,
    crop: (slide, { x, y }) => `${folder(slide)}/crops/${Math.round(x)}_${Math.round(y)}.jpg`,
    tile: (slide, level, column, row, signal) =>
      picture(`${folder(slide)}/tiles/${level}/${column}_${row}.jpg`, signal),
    heat: async (item, layer) =>
      Uint8Array.from(window.atob((await results(item)).heat[layer]), (letter) => letter.charCodeAt(0)),
  };

  /** Keep an entry here; all are handed out as one file, where nothing can be written to the folder. */
  WSI.handOut = async function (slide, entry) {
    const when = new Date().toISOString();
    kept.push({ slide, when, ...entry });
    download("decisions.json", JSON.stringify(kept, null, 1));
    return { entry: { ...entry, slide, when, sequence: kept.length } };
  };

  function download(name, text) {
    const address = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    WSI.make("a", { href: address, download: name }).click();
    window.setTimeout(() => URL.revokeObjectURL(address), 10000);
  }

  WSI.StoreError = StoreError;
  WSI.makeStore = () => (window.WSI_DATA ? still : server);
})();
