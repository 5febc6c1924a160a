// Before anything is drawn: the theme that was chosen here before, else the system's.
{
  let chosen = null;
  try {
    chosen = localStorage.getItem("twinlens-theme");
  } catch {
    // Storage is switched off: the system's theme it is.
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
}
