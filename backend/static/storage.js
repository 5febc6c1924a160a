// What this browser remembers for this site; nothing where storage is switched off.

/** Part of a name that is of this site alone: others may stand on the same host, below a path. */
export const HERE = location.pathname === "/" ? "" : `-${location.pathname}`;

export function recall(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

/** Remember a text; null forgets it. Where storage is off, or full, it holds for this visit only. */
export function remember(name, text) {
  try {
    if (text === null) localStorage.removeItem(name);
    else localStorage.setItem(name, text);
  } catch {
    // As said.
  }
}
