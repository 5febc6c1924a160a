// The videos that are recommended by, or away from: what is known of them, and the row that shows them.

import { titled } from "./cards.js";
import { byId, element, icon, place } from "./dom.js";

export class Seeds {
  #list = byId("seeds");
  #asked = new Map();
  #options;

  /** `options`: twinlens, picture, onSeed(videoId, liked). */
  constructor(options) {
    this.#options = options;
  }

  /** The video of this id, asked for once unless that failed. */
  video(videoId) {
    if (!this.#asked.has(videoId)) {
      const asked = this.#options.twinlens.video(videoId).then(({ video }) => video);
      asked.catch(() => this.#asked.delete(videoId));
      this.#asked.set(videoId, asked);
    }
    return this.#asked.get(videoId);
  }

  /** Those of `videoIds` that are not known to be gone. */
  async present(videoIds) {
    const found = await Promise.allSettled(videoIds.map((videoId) => this.video(videoId)));
    return videoIds.filter((_, at) => !isGone(found[at].reason));
  }

  /** Show the videos that `view` recommends by. */
  show(view) {
    const list = this.#list;
    const focused = document.activeElement;
    const buttons = () => [...list.querySelectorAll("button")];
    const at = buttons().indexOf(focused);
    const items = [...view.like, ...view.less].map((videoId) => {
      const liked = view.like.includes(videoId);
      return [...list.children].find((one) =>
        one.dataset.videoId === videoId && one.classList.contains("is-less") === !liked)
        ?? this.#item(videoId, liked);
    });
    list.hidden = items.length === 0;
    place(list, items);
    if (at < 0 || document.activeElement === focused) return;
    (focused.isConnected ? focused : buttons()[at] ?? buttons().at(-1) ?? byId("heading")).focus({ preventScroll: true });
  }

  #item(videoId, liked) {
    const { picture, onSeed } = this.#options;
    const remove = element("button", { type: "button", onclick: () => onSeed(videoId, liked) }, icon("close"));
    const item = element("li", { className: liked ? "seed" : "seed is-less", dataset: { videoId } });
    const fill = (video) => {
      const image = element("img", { alt: "", width: 48, height: 27 });
      if (video.thumbnail_url) picture(image, video, "48px");
      remove.setAttribute("aria-label", `Remove ${video.title ?? videoId}`);
      place(item, [
        image,
        element("span", { className: "visually-hidden", textContent: liked ? "More like " : "Less like " }),
        ...(liked ? [] : [icon("less")]),
        titled("span", video, { className: "seed-title" }),
        remove,
      ]);
    };
    const blank = { video_id: videoId, title: videoId, language: null, thumbnail_url: null };
    fill(blank);
    this.video(videoId).then(fill, (error) => {
      if (isGone(error)) fill({ ...blank, title: "A video that is gone" });
    });
    return item;
  }
}

const isGone = (error) => error?.code === "video_not_found";
