/** Dark or light: as the system has it, until the person chooses. */
(function () {
  "use strict";
  const WSI = (window.WSI = window.WSI || {});

  const KEY = "wsi-theme";
  const root = document.documentElement;
  const isDark = () => (root.dataset.theme ?? (window.matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

  const chosen = window.localStorage.getItem(KEY);
  if (chosen) root.dataset.theme = chosen;

  /** Change to the other, and keep it. */
  WSI.flipTheme = function () {
    root.dataset.theme = isDark() ? "light" : "dark";
    window.localStorage.setItem(KEY, root.dataset.theme);
    for (const heard of WSI.flipTheme.heard) heard();
  };
  WSI.flipTheme.heard = [];
})();
