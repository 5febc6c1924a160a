// The start page: rows of videos for who has been here before, and for who has not.

import { card, titled } from "./cards.js";
import { announce, byId, element, icon } from "./dom.js";
import { known, SORTS } from "./fields.js";

const PER_SHELF = 12;
const MOST_UNFINISHED = 6;
const SHELF_SIZES = "(max-width: 560px) 70vw, 250px";
const NEWEST = SORTS.find(({ value }) => value === "published_at:desc")?.value;

/** Why a hit of a feed is there, by the source that put it highest. */
const REASONS = {
  learned: "Watched by people who watch what you do",
  like_history: "Like what you watched",
  popular: "Popular",
  trending: "Popular these days",
  fresh: "New",
  same_channel: "From a channel that you watch",
};

export class Shelves {
  #place = byId("shelves");
  #options;
  #showing = new AbortController();
  #shown = "";

  /** `options`: those of cards; twinlens, history, onOpen(): the list below is to be looked at anew. */
  constructor(options) {
    this.#options = options;
  }

  /** Show them, or nothing; what is shown already stays, so that coming back finds it. */
  async show(shown) {
    this.#place.hidden = !shown;
    if (!shown) return;
    const { history } = this.#options;
    const key = JSON.stringify(history.events.map(({ event_id, watched_s }) => [event_id, watched_s]));
    if (this.#shown === key && this.#place.childElementCount) return;
    this.#shown = key;
    this.#showing.abort();
    this.#showing = new AbortController();
    const { signal } = this.#showing;
    const shelves = await Promise.all(
      [this.#unfinished(), this.#forYou(signal), this.#becauseYouWatched(signal), this.#popular(signal),
        this.#newest(signal), this.#ofChannel(signal)].map((shelf) => shelf.catch((error) => {
        // The list below says what is wrong; a shelf is only left out.
        if (!signal.aborted) console.warn(error);
        return null;
      })),
    );
    if (signal.aborted) return;
    const seen = new Set(history.unwanted);
    this.#place.replaceChildren(...shelves.filter(Boolean).flatMap((shelf) => {
      const items = shelf.items.filter(({ video }) => !seen.has(video.video_id)).slice(0, PER_SHELF);
      items.forEach(({ video }) => seen.add(video.video_id));
      return items.length ? [this.#shelf(shelf.heading, items)] : [];
    }));
  }

  async #unfinished() {
    const { history, videoOf } = this.#options;
    const begun = history.unfinished.slice(0, MOST_UNFINISHED);
    const videos = await Promise.allSettled(begun.map(({ video_id }) => videoOf(video_id)));
    const items = videos.flatMap(({ value }, at) =>
      (value ? [{ video: value, done: begun[at].position_s / begun[at].duration_s }] : []));
    return { heading: ["Continue"], items };
  }

  async #forYou(signal) {
    const { twinlens, history } = this.#options;
    if (!history.events.length) return null;
    return { heading: ["For you"], items: await this.#feed(twinlens, { events: history.events }, signal) };
  }

  async #popular(signal) {
    return { heading: ["Popular"], items: await this.#feed(this.#options.twinlens, { events: [] }, signal) };
  }

  async #feed(twinlens, fields, signal) {
    const { hits } = await twinlens.feed({ ...fields, limit: 2 * PER_SHELF, explain: true }, { signal });
    return hits.map((hit) => ({ video: hit.video, why: hit }));
  }

  async #becauseYouWatched(signal) {
    const video = await this.#last();
    if (!video) return null;
    const { hits } = await this.#options.twinlens.similar(video.video_id, { limit: 2 * PER_SHELF }, { signal });
    return { heading: ["Because you watched ", titled("cite", video)], items: hits };
  }

  async #newest(signal) {
    if (!NEWEST) return null;
    const { videos } = await this.#options.twinlens.browse({ sort: NEWEST, limit: 2 * PER_SHELF }, { signal });
    return { heading: ["New"], items: videos.map((video) => ({ video })) };
  }

  async #ofChannel(signal) {
    const video = await this.#last();
    const [field] = video ? known(video, ["keyword"], { card: true }) : [];
    if (!field) return null;
    const { videos } = await this.#options.twinlens.browse(
      { filter: { [field]: [video[field]] }, limit: 2 * PER_SHELF }, { signal });
    const others = videos.filter(({ video_id }) => video_id !== video.video_id);
    return { heading: ["More of ", element("cite", { textContent: video[field], dir: "auto" })],
      items: others.map((one) => ({ video: one })) };
  }

  /** The video that was watched last, if it is still there. */
  async #last() {
    const [last] = this.#options.history.watched;
    try {
      return last ? await this.#options.videoOf(last.video_id) : null;
    } catch {
      return null;
    }
  }

  #shelf(heading, items) {
    return element("section", { className: "shelf" },
      element("h2", {}, ...heading),
      element("ol", { className: "shelf-row", tabIndex: -1 }, ...items.map((item) => this.#item(item))));
  }

  #item({ video, why, done }) {
    const item = card({ video }, { ...this.#options, sizes: SHELF_SIZES });
    item.append(...[why ? this.#reason(why) : null, this.#turnDown(video, item)].filter(Boolean));
    if (done) {
      item.querySelector(".thumbnail").append(element("span", {
        className: "done", style: `width: ${Math.round(100 * done)}%`,
      }));
    }
    return item;
  }

  #reason({ because = [], sources = {} }) {
    const [best] = Object.entries(sources).filter(([, source]) => source)
      .sort(([, one], [, other]) => one.rank - other.rank);
    const text = because.length ? "Because you watched " : REASONS[best?.[0]];
    if (!text) return null;
    const reason = element("p", { className: "reason", textContent: text });
    if (because.length) {
      this.#options.videoOf(because[0]).then(
        (video) => reason.append(titled("cite", video)), () => { reason.textContent = REASONS.like_history; });
    }
    return reason;
  }

  #turnDown(video, item) {
    const title = video.title ?? video.video_id;
    const button = element("button", {
      type: "button", className: "round turn-down", title: "Not interested",
      "aria-label": `Not interested in ${title}`,
      onclick: () => {
        const next = (item.nextElementSibling ?? item.previousElementSibling)?.querySelector("a");
        this.#options.history.add({ type: "not_interested", video_id: video.video_id });
        item.remove();
        announce(`${title} will not be shown again`);
        next?.focus({ preventScroll: true });
      },
    }, icon("close"));
    return button;
  }
}
