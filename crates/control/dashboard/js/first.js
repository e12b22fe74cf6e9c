// Decides the theme before anything is painted, so that nothing flashes; it remembers nothing else.
(() => {
  /** @type {string | null} */
  let chosen = null;
  try {
    chosen = localStorage.getItem('lockgate-theme');
  } catch {
    // A browser that keeps nothing follows the system.
  }
  const dark = matchMedia('(prefers-color-scheme: dark)').matches;
  document.documentElement.dataset.theme = chosen === 'dark' || chosen === 'light' ? chosen : dark ? 'dark' : 'light';
})();
