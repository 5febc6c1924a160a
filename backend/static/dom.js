// Making elements. Text only ever becomes text, never markup.

export const byId = (id) => document.getElementById(id);

/** An element; of `properties`, names with a dash are attributes. Children that are null are left out. */
export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "dataset") Object.assign(made.dataset, value);
    else if (key.includes("-") || key === "role") made.setAttribute(key, value);
    else made[key] = value;
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/**
 * Have `parent` hold exactly `nodes`, in this order. What stays where it is is not touched: an element
 * that is moved, or replaced by its like, loses the focus.
 */
export function place(parent, nodes) {
  const wanted = new Set(nodes);
  for (const child of [...parent.childNodes]) if (!wanted.has(child)) child.remove();
  let at = parent.firstChild;
  for (const node of nodes) {
    if (node === at) at = at.nextSibling;
    else parent.insertBefore(node, at);
  }
}

const SVG = "http://www.w3.org/2000/svg";

/** One of the drawings in icons.svg, in the colour of the text around it. */
export function icon(name) {
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("class", "icon");
  drawing.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `static/icons.svg#${name}`);
  drawing.append(use);
  return drawing;
}

/** Whether a click on a link should stay in this tab. */
export const isPlainClick = (event) =>
  event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;

let said;
/** Let a screen reader say this, without moving the focus. */
export function announce(text) {
  clearTimeout(said);
  // A moment later, so that what came just before (a title, a focused button) is not cut off.
  said = setTimeout(() => { byId("announcer").textContent = text; }, 150);
}
