// Runs before the first paint, as a plain script: the chosen theme must be there before anything is drawn.
(() => {
  let theme = 'system';
  try {
    theme = localStorage.getItem('brickwork.theme') ?? 'system';
  } catch {
    // Storage may be blocked; the system's theme it is.
  }
  document.documentElement.dataset.theme = theme === 'light' || theme === 'dark' ? theme : 'system';
})();
