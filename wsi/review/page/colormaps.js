/**
 * Color maps that every kind of color vision can read: luminance rises all the way.
 *
 * Samples at equal steps of viridis and magma (Smith & van der Walt 2015) and cividis (Nuñez et al. 2018); between
 * them the colors are blended.
 */
(function () {
  "use strict";
  const WSI = (window.WSI = window.WSI || {});

  const SAMPLES = {
    viridis: ["440154", "472d7b", "3b528b", "2c728e", "21918c", "28ae80", "5ec962", "addc30", "fde725"],
    magma: ["000004", "1c1044", "51127c", "832681", "b73779", "e75263", "fc8961", "fec488", "fcfdbf"],
    cividis: ["00224e", "123570", "3b496c", "575d6d", "707173", "8a8678", "a59c74", "c3b369", "e1cc55", "fee838"],
  };

  const channel = (hex, at) => parseInt(hex.slice(at, at + 2), 16);

  /** Return the color of `share` (0-1) as [red, green, blue], 0-255. */
  function colorAt(samples, share) {
    const place = Math.min(Math.max(share, 0), 1) * (samples.length - 1);
    const left = Math.min(Math.floor(place), samples.length - 2);
    const blend = place - left;
    return [0, 2, 4].map((at) =>
      Math.round(channel(samples[left], at) * (1 - blend) + channel(samples[left + 1], at) * blend),
    );
  }

  const AGAINST = [38, 108, 196];
  const FOR = [250, 196, 30]; // blue and yellow are told apart by every kind of color vision

  WSI.colormaps = Object.keys(SAMPLES);
  WSI.colorOf = (name, share) => colorAt(SAMPLES[name], share);

  /**
   * Return 256 colors for a heat of one byte a tile: 0 (no tile) and what lies under the threshold are clear.
   * @param {string} name of the color map
   * @param {number} threshold share of the way from low to high, 0-1
   * @returns {Uint32Array} RGBA as the bytes of ImageData lie in memory
   */
  WSI.colorTable = function (name, threshold) {
    const bytes = new Uint8ClampedArray(256 * 4);
    for (let value = 1; value < 256; value += 1) {
      const share = (value - 1) / 254;
      if (share < threshold) continue;
      bytes.set([...colorAt(SAMPLES[name], share), 255], value * 4);
    }
    return new Uint32Array(bytes.buffer);
  };

  /** How strongly a byte (1-255) speaks: -1 against, 0 for nothing, 1 for. */
  const signOf = (value) => (value - 128) / 127;

  /**
   * Return 256 colors for what speaks for (yellow) and against (blue): the stronger the denser, clear where nothing is said.
   * @param {number} threshold size below which nothing is shown, 0-1
   */
  WSI.signedTable = function (threshold) {
    const bytes = new Uint8ClampedArray(256 * 4);
    for (let value = 1; value < 256; value += 1) {
      const sign = signOf(value);
      if (Math.abs(sign) < threshold) continue;
      bytes.set([...(sign < 0 ? AGAINST : FOR), 255 * Math.abs(sign)], value * 4);
    }
    return new Uint32Array(bytes.buffer);
  };

  /** The colors of the table without clearness, for its legend: white speaks for nothing. */
  WSI.signedColor = function (share) {
    const sign = 2 * share - 1;
    return (sign < 0 ? AGAINST : FOR).map((part) => Math.round(255 + (part - 255) * Math.abs(sign)));
  };
})();
