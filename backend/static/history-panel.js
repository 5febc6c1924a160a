// What this browser remembers, where its person can see it, take things out, and switch it off.

import { thumbnail, titled } from "./cards.js";
import { announce, byId, element, icon } from "./dom.js";
import * as format from "./format.js";

const SHOWN = 50;
const ROW_SIZES = "144px";

export class HistoryPanel {
  #dialog = byId("history");
  #list = byId("history-list");
  #options;

  /** `options`: those of cards; history, consent { given, give(on) } or null where nothing can be sent. */
  constructor(options) {
    this.#options = options;
    const { history, consent } = options;
    byId("history-button").addEventListener("click", () => this.#open());
    byId("history-close").addEventListener("click", () => this.#dialog.close());
    this.#dialog.addEventListener("pointerdown", (event) => {
      if (event.target === this.#dialog) this.#dialog.close();
    });
    byId("history-clear").addEventListener("click", () => {
      history.clear();
      announce("The history is empty");
      byId("history-title").focus();
    });
    byId("history-on").addEventListener("change", ({ target }) => history.keep(target.checked));
    byId("send-label").hidden = consent === null;
    byId("history-send").checked = Boolean(consent?.given);
    byId("history-send").addEventListener("change", ({ target }) => consent.give(target.checked));
    history.onChange(() => this.#dialog.open && this.#draw());
    // A video that is opened from here is shown in a dialog of its own.
    this.#list.addEventListener("click", (event) => event.target.closest("a.card") && this.#dialog.close());
  }

  #open() {
    this.#draw();
    this.#dialog.showModal();
  }

  #draw() {
    const { history } = this.#options;
    const watched = history.watched.slice(0, SHOWN);
    byId("history-on").checked = history.on;
    byId("history-clear").hidden = history.events.length === 0;
    byId("history-empty").hidden = watched.length > 0;
    this.#list.replaceChildren(...watched.map((one) => this.#row(one)));
  }

  #row({ video_id: videoId, at }) {
    const { picture, addressOf, videoOf, history } = this.#options;
    const text = element("span", { className: "text" }, element("span", { className: "title", textContent: "…" }),
      element("span", { className: "details" }, element("time", { dateTime: at, textContent: format.since(at) })));
    const link = element("a", { className: "card", href: addressOf(videoId), dataset: { videoId } }, text);
    const remove = element("button", {
      type: "button", className: "round", "aria-label": "Take it out of the history", title: "Take it out",
      onclick: () => {
        const at = [...this.#list.children].indexOf(row);
        history.remove(videoId);
        const next = this.#list.children[at] ?? this.#list.lastElementChild;
        (next?.querySelector("button") ?? byId("history-title")).focus();
      },
    }, icon("close"));
    const row = element("li", {}, link, remove);
    videoOf(videoId).then((video) => {
      text.firstChild.replaceWith(titled("span", video, { className: "title" }));
      link.prepend(thumbnail(video, picture, { sizes: ROW_SIZES }));
      remove.setAttribute("aria-label", `Take ${video.title ?? videoId} out of the history`);
    }, () => { text.firstChild.textContent = "A video that is gone"; });
    return row;
  }
}
