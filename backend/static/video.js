// An opened video: the picture at large, what is known of it, why it ranked, and what is like it.

import { card, counted, owner, placeholder, thumbnail, titled, whyTable } from "./cards.js";
import { announce, byId, element, icon } from "./dom.js";
import { known } from "./fields.js";
import * as format from "./format.js";
import { rankingOf } from "./lists.js";
import { isMedia, player } from "./player.js";
import { button, failure, message } from "./states.js";
import { recall, remember } from "./storage.js";

const RELATED = 12;
const AUTOPLAY = "twinlens-autoplay";
const ROW_SIZES = "144px";
const LARGE_SIZES = "(max-width: 880px) 100vw, 760px";

export class VideoDialog {
  #dialog = byId("video");
  #about = byId("video-about");
  #related = byId("related");
  #more = byId("related-more");
  #state = byId("related-state");
  #options;
  #showing = new AbortController();
  #videoId = "";
  #item = null;
  #why = element("div");
  // What was played one after another: nothing of it is played on to again.
  #played = new Set();

  /** `options`: those of cards; twinlens, history, onClose(), onSeed(videoId, liked), onNext(videoId). */
  constructor(options) {
    this.#options = options;
    byId("autoplay").checked = recall(AUTOPLAY) === "on";
    byId("autoplay").addEventListener("change", ({ target }) => remember(AUTOPLAY, target.checked ? "on" : null));
    byId("video-close").addEventListener("click", () => options.onClose());
    this.#dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      options.onClose();
    });
    this.#dialog.addEventListener("pointerdown", (event) => {
      if (event.target === this.#dialog) options.onClose();
    });
  }

  get videoId() {
    return this.#videoId;
  }

  close() {
    this.#showing.abort();
    this.#videoId = "";
    this.#played.clear();
    this.#about.querySelector("video")?.pause();
    if (this.#dialog.open) this.#dialog.close();
  }

  /** Say why it ranked: `item` is what the list behind it knows of the video, null for nothing. */
  explain(item) {
    if (item && item.video.video_id !== this.#videoId) return;
    this.#item = item;
    this.#why.replaceChildren(...(item?.hit ? [whyTable(item, this.#options.videoOf)] : []));
  }

  /** Open it, or go on to another video in it. `item` is what the list behind it knows of it. */
  async open(view, item) {
    this.#showing.abort();
    this.#showing = new AbortController();
    const { signal } = this.#showing;
    const { twinlens } = this.#options;
    const videoId = view.video;
    this.#videoId = videoId;
    this.explain(item);
    if (!this.#dialog.open) this.#dialog.showModal();
    this.#dialog.classList.remove("is-alone");
    for (const part of this.#dialog.querySelectorAll(".sheet, .about, .related")) part.scrollTo(0, 0);
    this.#state.replaceChildren();
    this.#more.hidden = true;
    this.#related.replaceChildren(...Array.from({ length: 6 }, placeholder));
    this.#related.ariaBusy = "true";
    if (item) this.#draw(item.video, view);
    else this.#about.replaceChildren(element("div", { className: "placeholder", "aria-hidden": "true" },
      element("span", { className: "thumbnail" }), element("span", { className: "line" })));
    const again = () => this.open(view, this.#item);
    try {
      if (!item) this.#draw((await twinlens.video(videoId, { signal })).video, view);
    } catch (error) {
      if (signal.aborted) return;
      this.#dialog.classList.add("is-alone");
      this.#about.replaceChildren(failure(error, again));
      this.#about.querySelector("h2").id = "video-title";
      return;
    }
    try {
      const ask = (cursor) => twinlens.similar(videoId, {
        limit: RELATED, explain: true, cursor, ...rankingOf(view),
      }, { signal });
      const answer = await ask(undefined);
      this.#related.replaceChildren();
      if (answer.hits.length === 0) {
        this.#state.replaceChildren(message({ drawing: "alike", heading: "Nothing is like it" }));
      }
      this.#add(ask, answer, again);
    } catch (error) {
      if (signal.aborted) return;
      this.#related.replaceChildren();
      this.#state.replaceChildren(failure(error, again));
    } finally {
      if (!signal.aborted) this.#related.ariaBusy = "false";
    }
  }

  #add(ask, answer, again) {
    const cards = answer.hits.map((hit) => card({ video: hit.video, hit }, { ...this.#options, sizes: ROW_SIZES }));
    this.#related.append(...cards);
    this.#more.hidden = !answer.next_cursor;
    this.#more.onclick = async () => {
      this.#more.onclick = null;
      const { signal } = this.#showing;
      try {
        const next = await ask(answer.next_cursor);
        this.#add(ask, next, again);
        this.#related.children[this.#related.children.length - next.hits.length]
          ?.querySelector("a").focus({ preventScroll: true });
        announce(`${this.#related.children.length} videos like it shown`);
      } catch (error) {
        if (signal.aborted) return;
        if (error.code === "cursor_expired") return again();
        this.#more.hidden = true;
        this.#state.replaceChildren(failure(error, () => {
          this.#state.replaceChildren();
          this.#add(ask, { hits: [], next_cursor: answer.next_cursor }, again);
        }));
      }
    };
  }

  #draw(video, view) {
    const marked = this.#item?.hit?.highlight?.title;
    const heading = titled("h2", video, { id: "video-title", tabIndex: -1 }, marked);
    document.title = `${video.title ?? "Video"} · TwinLens`;
    const { history } = this.#options;
    history.add({ type: "click", video_id: video.video_id });
    this.#played.add(video.video_id);
    byId("autoplay").closest("label").hidden = !isMedia(video);
    this.#about.querySelector("video")?.pause();
    this.#about.replaceChildren(...[
      isMedia(video) ? this.#player(video)
        : thumbnail(video, this.#options.picture, { eager: true, sizes: LARGE_SIZES }),
      heading,
      facts(video),
      this.#actions(video, view),
      tags(video),
      this.#why,
    ].filter(Boolean));
    heading.focus({ preventScroll: true });
  }

  #player(video) {
    const { history, twinlens } = this.#options;
    const begun = history.unfinished.find(({ video_id }) => video_id === video.video_id);
    return player(video, {
      poster: twinlens.thumbnailUrl(video, { width: 960 }),
      position_s: begun?.position_s,
      onWatch: (watch) => history.add({ type: "watch", video_id: video.video_id, ...watch }),
      onEnd: () => byId("autoplay").checked && this.#playOn(video),
    });
  }

  /** Open a video like this one that has not been played, and that plays in this page. */
  async #playOn(video) {
    const { twinlens, history, onNext } = this.#options;
    const { signal } = this.#showing;
    try {
      const { hits } = await twinlens.feed({
        events: history.events, surface: "related", seed_video_id: video.video_id, limit: RELATED,
        exclude: [...this.#played, ...history.unwanted],
      }, { signal });
      const next = hits.find((hit) => isMedia(hit.video) && !this.#played.has(hit.video.video_id));
      if (next) onNext(next.video.video_id);
    } catch (error) {
      if (!signal.aborted) console.warn(error);
    }
  }

  #actions(video, view) {
    const row = element("p", { className: "actions" });
    if (/^https?:\/\//i.test(video.url ?? "") && !isMedia(video)) {
      row.append(element("a", {
        className: "button primary", href: video.url, target: "_blank", rel: "noopener noreferrer",
        onclick: () => this.#options.history.add({ type: "watch", video_id: video.video_id }),
      }, icon("play"), "Watch", element("span", { className: "visually-hidden", textContent: " (new tab)" })));
    }
    const seed = (liked, drawing, text, hint) => {
      const chosen = view[liked ? "like" : "less"].includes(video.video_id);
      const made = button("", () => this.#options.onSeed(video.video_id, liked), {
        "aria-pressed": String(chosen), title: hint,
      });
      made.append(icon(chosen ? "check" : drawing), text);
      row.append(made);
    };
    seed(true, "more", "More like this", "Recommend by this video, and by others so marked");
    if (view.like.length || view.less.length) {
      seed(false, "less", "Less like this", "Recommend away from this video");
    }
    const copy = button("", async () => {
      try {
        await navigator.clipboard.writeText(new URL(this.#options.addressOf(video.video_id), location.href));
        announce("Link copied");
        copy.lastChild.data = "Copied";
        setTimeout(() => { copy.lastChild.data = "Copy link"; }, 2000);
      } catch {
        // Not allowed to: the address bar has the same link.
        announce("The link is in the address bar");
        copy.lastChild.data = "See the address bar";
      }
    });
    copy.append(icon("link"), "Copy link");
    row.append(copy);
    return row;
  }
}

/** What is known of a video, in whole words. */
function facts(video) {
  const made = element("p", { className: "details" });
  const add = (...content) => made.append(element("span", {}, ...content));
  for (const name of known(video, ["keyword"], { card: true })) made.append(owner(video[name]));
  for (const name of known(video, ["count"])) add(counted(name, video[name]));
  for (const name of known(video, ["moment"])) {
    add(element("time", { dateTime: video[name], textContent: format.date(video[name]) }));
  }
  if (video.language) add(format.language(video.language));
  return made;
}

function tags(video) {
  const said = ["language", ...known(video, ["keyword"], { card: true })];
  const others = known(video, ["keyword"]).filter((name) => !said.includes(name)).map((name) => video[name]);
  const all = [...new Set([...others, ...known(video, ["keywords"]).flatMap((name) => video[name])])];
  return all.length === 0 ? null : element("ul", { className: "tags", "aria-label": "Category and tags" },
    ...all.map((tag) => element("li", { textContent: tag, dir: "auto" })));
}
