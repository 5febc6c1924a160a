// What is shown follows from the address, so that every view can be shared and gone back to.

import { addressOf, COUNTED, kindOf, RANGES, SORTS } from "./fields.js";
import { DEFAULT_WEIGHTS, LENSES } from "./lenses.js";

const MAX_TEXT = 2000;
const MAX_SEEDS = 100;

/** A new number for the random order. */
export const newSeed = () => 1 + crypto.getRandomValues(new Uint32Array(1))[0] % 999_999;

/**
 * The view that a query string describes. What can't be understood is left out: an old link, or one
 * changed by hand, still shows something.
 */
export function readView(search) {
  const given = new URLSearchParams(search);
  const several = (name) => [...new Set(given.getAll(name).filter(Boolean))].slice(0, MAX_SEEDS);
  const number = (name, low, high, otherwise) => {
    const value = given.has(name) && given.get(name) !== "" ? Number(given.get(name)) : Number.NaN;
    return value >= low && value <= high ? value : otherwise;
  };
  const text = (given.get("q") ?? "").trim().slice(0, MAX_TEXT);
  const picture = given.get("picture") ?? "";
  // The API recommends by videos alone; and what to find less of says nothing of what to find.
  const like = text || picture ? [] : several("like");
  return {
    text,
    picture,
    like,
    less: like.length ? several("less").filter((id) => !like.includes(id)) : [],
    video: given.get("v") ?? "",
    counted: Object.fromEntries(COUNTED.map((field) => [field, several(addressOf(field))])),
    ranges: Object.fromEntries(RANGES.map((field) => [field, range(given.get(addressOf(field)))])),
    weights: weights(given.get("weights")),
    variety: number("variety", 0, 1, 0),
    fold: given.get("reuploads") === "fold",
    sort: SORTS.find(({ value }) => value === given.get("sort"))?.value ?? "",
    seed: Math.trunc(number("seed", 0, 2 ** 31 - 1, 0)),
  };
}

/** "600-1200", "600-", "-1200" */
function range(text) {
  const found = /^(\d{1,15})?-(\d{1,15})?$/.exec(text ?? "");
  const bound = (digits) => (digits === undefined ? null : Number(digits));
  return { min: bound(found?.[1]), max: bound(found?.[2]) };
}

/** "2-4-1", in the order of the lenses; a link from before one was added has fewer numbers. */
function weights(text) {
  const found = (text ?? "").split("-").map(Number);
  const fit = found.length <= LENSES.length && found.every((one) => one >= 0 && one <= 1000);
  return fit && found.some(Boolean)
    ? Object.fromEntries(LENSES.map(({ name, weight }, at) => [name, found[at] ?? weight]))
    : { ...DEFAULT_WEIGHTS };
}

export const isRange = ({ min, max }) => min !== null || max !== null;
export const hasDefaultWeights = (view) =>
  LENSES.every(({ name, weight }) => view.weights[name] === weight);

/** The query string of a view; what is as by default is left out. */
export function writeView(view) {
  const written = new URLSearchParams();
  const set = (name, value) => value && written.set(name, value);
  set("q", view.text);
  set("picture", view.picture);
  view.like.forEach((id) => written.append("like", id));
  view.less.forEach((id) => written.append("less", id));
  for (const field of COUNTED) {
    view.counted[field].forEach((value) => written.append(addressOf(field), value));
  }
  for (const field of RANGES) {
    const { min, max } = view.ranges[field];
    if (isRange({ min, max })) set(addressOf(field), `${min ?? ""}-${max ?? ""}`);
  }
  if (!hasDefaultWeights(view)) set("weights", LENSES.map(({ name }) => view.weights[name]).join("-"));
  set("variety", view.variety && String(view.variety));
  set("reuploads", view.fold && "fold");
  set("sort", view.sort);
  set("seed", view.seed && !isRanked(view) && !view.sort && String(view.seed));
  set("v", view.video);
  return written.size ? `?${written}` : "";
}

/** Whether something is looked for, so that there is a ranking. */
export const isRanked = (view) => Boolean(view.text || view.picture || view.like.length);

/** What tells one list from another; the opened video is no part of it. */
export const listOf = (view) => writeView({ ...view, video: "" });

/** The view with no filter. */
export const unfiltered = (view) => ({ ...view, ...pick(readView(""), ["counted", "ranges"]) });
const pick = (from, names) => Object.fromEntries(names.map((name) => [name, from[name]]));

export const filterCount = (view) =>
  COUNTED.reduce((sum, field) => sum + view.counted[field].length, 0)
  + RANGES.filter((field) => isRange(view.ranges[field])).length;

/** The API's filter of a view, without one field where `except` names it; undefined for none. */
export function filterOf(view, except = null) {
  const filter = {};
  for (const field of COUNTED) {
    if (field !== except && view.counted[field].length) filter[field] = view.counted[field];
  }
  for (const field of RANGES) {
    const { min, max } = view.ranges[field];
    if (field === except || !isRange({ min, max })) continue;
    filter[field] = kindOf(field) === "moment" ? years(min, max) : {
      ...(min !== null && { gte: min }), ...(max !== null && { lte: max }),
    };
  }
  return Object.keys(filter).length ? filter : undefined;
}

/** From the start of the first year to the end of the last, as far as the API takes years. */
function years(first, last) {
  const start = (year) => `${Math.min(Math.max(year, 1001), 9998)}-01-01T00:00:00Z`;
  return {
    ...(first !== null && { gte: start(first) }), ...(last !== null && { lt: start(last + 1) }),
  };
}
