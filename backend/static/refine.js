// The panel beside the list: filters with their counts, and how much each ranking weighs.

import { filterCount, hasDefaultWeights, isRange, isRanked, unfiltered } from "./address.js";
import { byId, element, icon, place } from "./dom.js";
import { addressOf, ASKED_RANGES, COUNTED, FEW_VALUES, kindOf, labelOf, MANY_VALUES, unitOf } from "./fields.js";
import * as format from "./format.js";
import { DEFAULT_WEIGHTS, LENSES } from "./lenses.js";

const SHOWN_VALUES = 6;
// The field whose values are offered above the list, too.
const QUICK = FEW_VALUES[0];
const QUICK_CHIPS = 12;
const WEIGHT_STEPS = { min: 0, max: 10, step: 0.5 };
const SLIDING_PAUSE_MS = 250;
const LENGTHS = [
  ["Any", null, null], ["Under 4 min", null, 240], ["4–20 min", 240, 1200], ["Over 20 min", 1200, null],
];
// So wide that the panel can stand beside the list; narrower, it lies over it.
const WIDE = matchMedia("(min-width: 1000px)");

export class Refine {
  #panel = byId("refine");
  #button = byId("refine-button");
  #onChange;
  #facets = null;
  #view = null;
  #expanded = new Set();
  #made = new Map();
  #sliding;
  #slid = {};

  /** `onChange(changes, { replace })` is called with the parts of the view that someone changed. */
  constructor(onChange) {
    this.#onChange = onChange;
    this.#button.addEventListener("click", () => (this.#panel.open ? this.close() : this.open()));
    byId("refine-close").addEventListener("click", () => this.close());
    byId("refine-done").addEventListener("click", () => this.close());
    this.#panel.addEventListener("close", () => this.#opened());
    this.#panel.addEventListener("pointerdown", (event) => {
      if (event.target === this.#panel && !WIDE.matches) this.close();
    });
    byId("refine-clear").addEventListener("click", () => {
      const { counted, ranges } = unfiltered(this.#view);
      this.#change({ counted, ranges });
      // The button is gone with what it cleared, and so is the other one.
      byId("refine-close").focus({ preventScroll: true });
    });
    byId("weights-reset").addEventListener("click", () => {
      this.#change({ weights: { ...DEFAULT_WEIGHTS }, variety: 0, fold: false });
      byId(`weight-${LENSES[0].name}`).focus({ preventScroll: true });
    });
    WIDE.addEventListener("change", () => {
      if (!this.#panel.open) return;
      this.close();
      this.open();
    });
    this.#weights();
    if (remembered() && WIDE.matches) {
      this.open();
      // Nobody asked for the focus to go there.
      document.activeElement?.blur();
    }
  }

  open() {
    if (WIDE.matches) this.#panel.show();
    else this.#panel.showModal();
    this.#opened();
  }

  close() {
    this.#panel.close();
  }

  #opened() {
    const { open } = this.#panel;
    this.#button.setAttribute("aria-expanded", String(open));
    document.body.classList.toggle("has-panel", open && WIDE.matches);
    if (WIDE.matches) remember(open);
  }

  /** Show the filters and weights of `view`; the facets of the list before stay until `offer`. */
  show(view) {
    this.#view = view;
    this.#forgetSlid();
    const active = filterCount(view) + (isRanked(view) && !hasDefaultWeights(view) ? 1 : 0)
      + (view.variety ? 1 : 0) + (view.fold ? 1 : 0);
    byId("refine-count").textContent = active || "";
    byId("refine-count").hidden = !active;
    byId("refine-clear").hidden = !filterCount(view);
    byId("ranking").hidden = !isRanked(view);
    for (const { name } of LENSES) {
      const slider = byId(`weight-${name}`);
      slider.value = view.weights[name];
      this.#shown(slider);
    }
    byId("variety").value = view.variety;
    this.#shown(byId("variety"));
    byId("fold").checked = view.fold;
    byId("weights-reset").hidden = hasDefaultWeights(view) && !view.variety && !view.fold;
    this.#draw();
  }

  /** Offer what `facets` counted. */
  offer(facets) {
    this.#facets = facets;
    this.#draw();
  }

  // ---- ranking

  #weights() {
    byId("weights").append(...LENSES.map(weightSlider));
    const sliders = [...LENSES.map(({ name }) => byId(`weight-${name}`)), byId("variety")];
    for (const slider of sliders) {
      slider.addEventListener("input", () => {
        this.#shown(slider);
        if (slider.id === "variety") return this.#slide({ variety: Number(slider.value) });
        const weights = Object.fromEntries(
          LENSES.map(({ name }) => [name, Number(byId(`weight-${name}`).value)]),
        );
        // Something has to rank: the last one can't be switched off.
        if (!Object.values(weights).some(Boolean)) {
          slider.value = WEIGHT_STEPS.step;
          this.#shown(slider);
          weights[slider.id.slice("weight-".length)] = WEIGHT_STEPS.step;
        }
        this.#slide({ weights });
      });
    }
    byId("fold").addEventListener("change", (event) => this.#change({ fold: event.target.checked }));
  }

  /** A slider is somewhere else: once it rests there, the view is, too. */
  #slide(changes) {
    clearTimeout(this.#sliding);
    Object.assign(this.#slid, changes);
    this.#sliding = setTimeout(() => this.#change({}, { replace: true }), SLIDING_PAUSE_MS);
  }

  /** Change the view, by what the sliders were moved to as well. */
  #change(changes, options) {
    const slid = this.#slid;
    this.#forgetSlid();
    this.#onChange({ ...slid, ...changes }, options);
  }

  /** Something else is about to be done: what the sliders were moved to comes first. */
  settle() {
    if (Object.keys(this.#slid).length) this.#change({}, { replace: true });
  }

  #forgetSlid() {
    clearTimeout(this.#sliding);
    this.#slid = {};
  }

  #shown(slider) {
    const part = (slider.value - slider.min) / (slider.max - slider.min);
    slider.style.setProperty("--part", `${100 * part}%`);
    const value = slider.id === "variety"
      ? (part ? `${Math.round(100 * part)}%` : "off") : (part ? `×${Number(slider.value)}` : "off");
    byId(`${slider.id}-value`).textContent = value;
    slider.setAttribute("aria-valuetext", value);
  }

  // ---- filters

  #draw() {
    if (!this.#view) return;
    const focused = document.activeElement;
    const inPanel = this.#panel.contains(focused);
    const chipAt = chipButtons().indexOf(focused);
    const groups = [
      ...FEW_VALUES.map((field) => this.#group(field)),
      ...ASKED_RANGES.map((field) => this.#range(field)),
      ...MANY_VALUES.map((field) => this.#group(field)),
    ];
    place(byId("filters"), groups.filter(Boolean));
    this.#chips();
    for (const [key, made] of this.#made) if (!made.isConnected) this.#made.delete(key);
    if (document.activeElement === focused || !(inPanel || chipAt >= 0)) return;
    // What had the focus was moved, or is gone: then the next thing of its kind has it.
    const next = chipAt >= 0 ? chipButtons()[chipAt] ?? chipButtons().at(-1) ?? this.#button : byId("refine-close");
    (focused.isConnected ? focused : next).focus({ preventScroll: true });
  }

  /** What `make` made for this key when it was first drawn, so that it keeps its focus and its text. */
  #once(key, make) {
    if (!this.#made.has(key)) this.#made.set(key, make());
    return this.#made.get(key);
  }

  #fieldset(heading, rows) {
    const made = this.#once(`group ${heading}`, () =>
      element("fieldset", {}, element("legend", { textContent: heading })));
    place(made, [made.firstChild, ...rows]);
    return made;
  }

  #choice(key, type, { name = "", text, checked, count = null, onchange }) {
    const made = this.#once(key, () => element("label", { className: "choice" },
      element("input", { type, name, dataset: { key } }),
      element("span", { className: "name", dir: "auto", textContent: text }),
      count === null ? null : element("span", { className: "count" })));
    const [input, , counted] = made.children;
    Object.assign(input, { checked, onchange });
    if (counted) counted.textContent = format.count(count);
    return made;
  }

  /** The values of a field with their counts; chosen ones are there even where none is left. */
  #values(field) {
    const counts = new Map((this.#facets?.[field]?.values ?? []).map((one) => [one.value, one.count]));
    const chosen = this.#view.counted[field];
    const gone = chosen.filter((value) => !counts.has(value)).map((value) => ({ value, count: 0 }));
    return [...[...counts].map(([value, count]) => ({ value, count })), ...gone]
      .map((one) => ({ ...one, chosen: chosen.includes(one.value) }));
  }

  #toggle(field, value) {
    const chosen = this.#view.counted[field];
    const next = chosen.includes(value) ? chosen.filter((one) => one !== value) : [...chosen, value];
    this.#change({ counted: { ...this.#view.counted, [field]: next } });
  }

  #group(field) {
    const values = this.#values(field);
    if (values.length === 0) return null;
    const all = this.#expanded.has(field);
    const shown = values.filter((one, at) => all || at < SHOWN_VALUES || one.chosen);
    const rows = shown.map(({ value, count, chosen }) => this.#choice(`${field}=${value}`, "checkbox", {
      text: named(field, value), checked: chosen, count, onchange: () => this.#toggle(field, value),
    }));
    const rest = values.length - shown.length;
    if (values.length > SHOWN_VALUES && (rest > 0 || all)) rows.push(this.#moreOf(field, rest, all));
    return this.#fieldset(labelOf(field), rows);
  }

  #moreOf(field, rest, all) {
    const toggle = this.#once(`${field}…`, () => element("button", {
      type: "button", className: "quiet",
      onclick: () => {
        if (!this.#expanded.delete(field)) this.#expanded.add(field);
        this.#draw();
      },
    }));
    toggle.setAttribute("aria-expanded", String(all));
    toggle.textContent = all ? "Show fewer" : `Show ${rest} more`;
    return toggle;
  }

  #ranged(field, bounds, options) {
    this.#change({ ranges: { ...this.#view.ranges, [field]: bounds } }, options);
  }

  /** What bounds a field, as its kind is thought of: lengths to choose from, years, or two numbers. */
  #range(field) {
    const facet = this.#facets?.[field];
    if (kindOf(field) === "duration") return this.#lengths(field, facet);
    if (kindOf(field) === "moment") {
      return this.#between(field, ["From year", "To year"], known(facet) ? [year(facet.min), year(facet.max)] : null);
    }
    return this.#between(field, ["At least", "At most"], known(facet) ? [facet.min, facet.max] : null);
  }

  #lengths(field, facet) {
    const { min, max } = this.#view.ranges[field];
    if (!isRange({ min, max }) && !known(facet)) return null;
    return this.#fieldset(labelOf(field), LENGTHS.map(([text, low, high]) => this.#choice(`${addressOf(field)}=${text}`, "radio", {
      name: addressOf(field), text, checked: min === low && max === high,
      onchange: () => this.#ranged(field, { min: low, max: high }),
    })));
  }

  /** Two numbers; what could be given stands in them as a hint. */
  #between(field, labels, bounds) {
    const range = this.#view.ranges[field];
    if (!isRange(range) && !bounds) return null;
    const row = this.#once(`${field} bounds`, () => element("div", { className: "bounds" },
      ...["min", "max"].map((end, at) => element("label", { className: "bound" },
        element("span", { textContent: labels[at] }),
        element("input", {
          type: "number", inputMode: "numeric", min: 0, step: 1, dataset: { key: `${field}.${end}`, drawn: "" },
          onchange: ({ target }) => {
            if (!target.reportValidity()) return;
            const value = target.value === "" ? null : Number(target.value);
            this.#ranged(field, { ...this.#view.ranges[field], [end]: value });
          },
        })))));
    row.querySelectorAll("input").forEach((input, at) => {
      input.placeholder = bounds?.[at] ?? "";
      const value = String([range.min, range.max][at] ?? "");
      // As long as the view's number is the same, what someone has begun to type stays.
      if (input.dataset.drawn !== value) Object.assign(input, { value }).dataset.drawn = value;
    });
    return this.#fieldset(labelOf(field), [row]);
  }

  // ---- chips above the list: what is filtered by, and the categories to begin with

  #chips() {
    const chips = [];
    const remove = (key, text, onclick) => chips.push(this.#once(`remove ${key} ${text}`, () =>
      element("li", {}, element("button", {
        type: "button", className: "chip is-on", onclick, "aria-label": `Remove filter ${text}`,
      }, element("span", { textContent: text, dir: "auto" }), icon("close")))));
    for (const field of COUNTED.filter((one) => one !== QUICK)) {
      for (const value of this.#view.counted[field]) {
        remove(`${field}=${value}`, named(field, value), () => this.#toggle(field, value));
      }
    }
    for (const [field, range] of Object.entries(this.#view.ranges)) {
      if (isRange(range)) remove(field, spoken(field, range), () => this.#ranged(field, { min: null, max: null }));
    }
    const values = QUICK ? this.#values(QUICK) : [];
    const quick = values.filter((one, at) => at < QUICK_CHIPS || one.chosen);
    if (values.length > 1 || values.some((one) => one.chosen)) {
      for (const { value, chosen } of quick) {
        const chip = this.#once(`chip ${QUICK}=${value}`, () => element("li", {}, element("button", {
          type: "button", onclick: () => this.#toggle(QUICK, value),
        }, element("span", { textContent: named(QUICK, value), dir: "auto" }))));
        chip.firstChild.className = `chip${chosen ? " is-on" : ""}`;
        chip.firstChild.setAttribute("aria-pressed", String(chosen));
        chips.push(chip);
      }
    }
    place(byId("chips"), chips);
    byId("chips").hidden = chips.length === 0;
  }
}

/** The slider of what one lens's ranking counts. */
function weightSlider({ name, label }) {
  const id = `weight-${name}`;
  return element("div", { className: `slider by-${name}` },
    element("label", { htmlFor: id, textContent: label }),
    element("output", { id: `${id}-value`, htmlFor: id }),
    element("input", { id, type: "range", ...WEIGHT_STEPS }));
}

const chipButtons = () => [...byId("chips").querySelectorAll("button")];
const known = (facet) => facet !== undefined && facet.min !== null && facet.max !== null
  && facet.min !== undefined;
const named = (field, value) => (field === "language" ? format.language(value) : value);

const year = (moment) => new Date(moment).getUTCFullYear();

function spoken(field, { min, max }) {
  const kind = kindOf(field);
  const preset = LENGTHS.find(([, low, high]) => low === min && high === max);
  if (kind === "duration" && preset) return preset[0];
  const shown = { count: format.count, duration: format.clock }[kind] ?? String;
  const unit = kind === "count" ? ` ${unitOf(field)}` : "";
  if (max === null) return kind === "moment" ? `Since ${min}` : `${shown(min)}${unit} or more`;
  if (min === null) return kind === "moment" ? `Until ${max}` : `Up to ${shown(max)}${unit}`;
  return min === max ? `${shown(min)}${unit}` : `${shown(min)}–${shown(max)}${unit}`;
}

const REMEMBERED = "twinlens-panel";

function remembered() {
  try {
    return localStorage.getItem(REMEMBERED) === "open";
  } catch {
    return false;
  }
}

function remember(open) {
  try {
    localStorage.setItem(REMEMBERED, open ? "open" : "closed");
  } catch {
    // Storage is switched off: closed next time.
  }
}
