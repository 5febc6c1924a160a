// From a view to the videos in it: which question is put to the API, and its answer in one shape.

import { filterOf, isRanked } from "./address.js";
import { COUNTED, RANGES } from "./fields.js";

export const PAGE_SIZE = 24;
const FACETS = [...COUNTED, ...RANGES];

/**
 * The question that `view` stands for: call it with a cursor (undefined for the first page) for
 * `{ items: [{ video, hit }], next_cursor, facets, total, borrowed, seeds }`; `hit` is null in a list
 * that is no ranking, `total` where only the best are looked at; `seeds` is how many videos it is
 * recommended by. What doesn't fit a text is left out, unless a rule pins it, or that is all there is:
 * then the first page is `nearest`.
 */
export function questionOf(twinlens, view, picture) {
  return async (cursor, { signal, facets = FACETS, except = null, limit = PAGE_SIZE } = {}) => {
    const shared = { limit, cursor, facets: cursor ? undefined : facets, filter: filterOf(view, except) };
    if (!isRanked(view)) {
      const order = view.sort ? { sort: view.sort } : { order: "random", seed: view.seed };
      const answer = await twinlens.browse({ ...shared, ...order }, { signal });
      return { ...answer, items: answer.videos.map((video) => ({ video, hit: null })), borrowed: false, seeds: 0 };
    }
    const ranking = { ...shared, ...rankingOf(view), explain: true };
    const answer = await (view.text || view.picture
      ? twinlens.search({
        ...ranking,
        ...(view.text && { text: view.text, highlight: true }),
        ...(picture && { image: picture }),
      }, { signal })
      : twinlens.recommend({ ...ranking, liked: view.like, disliked: view.less }, { signal }));
    const fitting = answer.hits.filter(({ match, pinned }) => pinned || !(match < answer.match_floor));
    const nearest = !cursor && answer.hits.length > 0 && fitting.length === 0;
    return {
      ...answer,
      items: (nearest ? answer.hits : fitting).map((hit) => ({ video: hit.video, hit })),
      nearest,
      next_cursor: fitting.length ? answer.next_cursor : null,
      total: null,
      borrowed: Boolean(answer.borrowed_from?.length),
      seeds: view.like.length,
    };
  };
}

/** How a view ranks, as the API's fields. */
export const rankingOf = (view) => ({
  weights: view.weights,
  ...(view.variety && { diversity: view.variety }),
  ...(view.fold && { collapse_duplicates: true }),
});

/**
 * The facets to offer: in a field that is filtered by already, the other values are counted too, as
 * without that one filter; else one could choose a single value of each.
 */
export async function facetsOf(question, view, first, signal) {
  const filtered = COUNTED.filter((field) => view.counted[field].length);
  const wider = await Promise.all(filtered.map((field) =>
    question(undefined, { signal, facets: [field], except: field, limit: 1 })));
  return Object.assign({}, first.facets, ...wider.map((answer) => answer.facets));
}
