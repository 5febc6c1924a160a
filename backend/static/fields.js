// The fields of the videos, as the server has written them into the page: what can be filtered by,
// put in order by and shown follows from their kinds.

export const FIELDS = JSON.parse(document.getElementById("fields").textContent);

const BY_NAME = new Map(FIELDS.map((field) => [field.name, field]));
const isCounted = ({ kind }) => kind === "keyword" || kind === "keywords";
const offered = FIELDS.filter((field) => field.facet && field.filterable);
const ofKinds = (fields, kinds) =>
  kinds.flatMap((kind) => fields.filter((field) => field.kind === kind));
const named = (fields) => fields.map((field) => field.name);

/** Fields whose values are counted; those of few values first, for they are chosen most. */
const counted = offered.filter(isCounted);
export const FEW_VALUES = named(counted.filter((field) => field.few_values));
export const MANY_VALUES = named(counted.filter((field) => !field.few_values));
export const COUNTED = [...FEW_VALUES, ...MANY_VALUES];
/** Fields with bounds: as an address has them, and as people are asked for them. */
export const RANGES = named(ofKinds(offered, ["duration", "count", "moment"]));
export const ASKED_RANGES = named(ofKinds(offered, ["duration", "moment", "count"]));
/** The orders to choose from: `{ value: "view_count:desc", label: "Most viewed" }`. */
export const SORTS = ofKinds(FIELDS.filter((field) => field.sortable), ["moment", "count", "duration"])
  .flatMap(({ name, sorts: [first, last] }) => [
    { value: `${name}:desc`, label: first }, { value: `${name}:asc`, label: last },
  ]);

export const kindOf = (name) => BY_NAME.get(name).kind;
export const labelOf = (name) => BY_NAME.get(name).label;
export const addressOf = (name) => BY_NAME.get(name).address ?? name;
/** What so many of a field are called: "views". */
export const unitOf = (name, count) => {
  const { units, label } = BY_NAME.get(name);
  return units ? units[count === 1 ? 0 : 1] : label.toLowerCase();
};

/** The fields of these kinds that `video` has, in the order of the kinds; with `card` those on cards. */
export const known = (video, kinds, { card = false } = {}) =>
  named(ofKinds(card ? FIELDS.filter((field) => field.on_card) : FIELDS, kinds))
    .filter((name) => video[name] !== null && video[name] !== undefined);
