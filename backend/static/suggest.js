// What may be meant, under the box as one types: a combobox with a list, as the ARIA Authoring
// Practices have it. The focus stays in the box; aria-activedescendant says which one is chosen.

import { byId, element, icon } from "./dom.js";
import * as format from "./format.js";

const MOST = 8;
const MOST_RECENT = 3;
const PAUSE_MS = 150;
const LONGEST = 200;
const WIDE = "72px";

export class SuggestionList {
  #box = byId("text");
  #panel = byId("suggest");
  #list = byId("suggestions");
  #clear = byId("recent-clear");
  #options;
  #shown = [];
  #active = -1;
  #asking;
  #timer;
  #askedAt = -Infinity;
  #none = false;

  /** `options`: twinlens, picture, recent, onChoose(suggestion). */
  constructor(options) {
    this.#options = options;
    this.#box.addEventListener("keydown", (event) => this.#press(event));
    this.#box.addEventListener("click", () => this.#box.value || this.ask(""));
    // The focus stays in the box, whatever is pressed here but the button.
    this.#list.addEventListener("pointerdown", (event) => event.preventDefault());
    this.#list.addEventListener("click", ({ target }) => {
      const at = [...this.#list.children].indexOf(target.closest("li"));
      if (at >= 0) this.#choose(at);
    });
    this.#clear.addEventListener("click", () => {
      options.recent.clear();
      this.#box.focus();
      this.ask(this.#box.value);
    });
    this.#panel.parentElement.addEventListener("focusout", ({ relatedTarget }) => {
      if (!this.#panel.parentElement.contains(relatedTarget)) this.close();
    });
  }

  get isOpen() {
    return !this.#panel.hidden;
  }

  /** Show what may be meant by `typed`: at once, or when a moment has passed since the last time. */
  ask(typed) {
    clearTimeout(this.#timer);
    this.#asking?.abort();
    const wait = this.#askedAt + PAUSE_MS - performance.now();
    if (!typed.trim() || this.#none || typed.length > LONGEST) this.#show(this.#recent(typed));
    else this.#timer = setTimeout(() => this.#ask(typed), Math.max(0, wait));
  }

  close() {
    clearTimeout(this.#timer);
    this.#asking?.abort();
    this.#show([]);
  }

  async #ask(typed) {
    this.#askedAt = performance.now();
    const { signal } = this.#asking = new AbortController();
    let found = [];
    try {
      const answer = await this.#options.twinlens.suggest(typed, { limit: MOST }, { signal });
      const meant = answer.did_you_mean?.trim();
      found = [...(meant ? [{ kind: "meant", text: meant }] : []), ...answer.suggestions];
    } catch (error) {
      // A page without suggestions searches all the same.
      this.#none = error.code === "no_suggestions";
    }
    if (signal.aborted) return;
    const recent = this.#recent(typed);
    this.#show([...recent, ...found].slice(0, MOST));
  }

  #recent(typed) {
    const begun = typed.trim().toLocaleLowerCase();
    const words = this.#options.recent.words.filter((one) => {
      const known = one.toLocaleLowerCase();
      return known.startsWith(begun) && known !== begun;
    });
    return words.slice(0, begun ? MOST_RECENT : MOST).map((text) => ({ kind: "recent", text }));
  }

  #show(suggestions) {
    this.#shown = suggestions;
    this.#list.replaceChildren(...suggestions.map((one, at) => this.#row(one, at)));
    this.#clear.hidden = !suggestions.some(({ kind }) => kind === "recent");
    this.#panel.hidden = suggestions.length === 0;
    this.#box.setAttribute("aria-expanded", String(suggestions.length > 0));
    this.#activate(-1);
  }

  #row(one, at) {
    const { drawing, said, isShown } = KINDS[one.kind];
    const kind = element("span", { className: isShown ? "kind" : "visually-hidden", textContent: said(one) });
    const text = element("span", {
      className: "text", textContent: one.text, dir: "auto", lang: format.languageOf(one.text, "en"),
    });
    return element("li", { id: `suggestion-${at}`, role: "option", "aria-selected": "false" },
      one.thumbnail_url ? this.#thumbnail(one) : icon(drawing),
      element("span", { className: "said" }, ...(one.kind === "meant" ? [kind, text] : [text, kind])));
  }

  #thumbnail(one) {
    const image = element("img", { alt: "", width: 72, height: 40, onerror: () => image.replaceWith(icon(KINDS.title.drawing)) });
    this.#options.picture(image, one, WIDE);
    return image;
  }

  #press(event) {
    if (event.isComposing || event.ctrlKey || event.metaKey) return;
    if (event.key === "ArrowDown" && event.altKey) {
      this.ask(this.#box.value);
    } else if (!this.isOpen) {
      return;
    } else if (event.key === "ArrowDown") {
      this.#activate(this.#active + 1 < this.#shown.length ? this.#active + 1 : -1);
    } else if (event.key === "ArrowUp" && !event.altKey) {
      this.#activate(this.#active < 0 ? this.#shown.length - 1 : this.#active - 1);
    } else if (event.key === "Escape" || event.key === "ArrowUp") {
      this.close();
    } else if (event.key === "Enter" && this.#active >= 0) {
      this.#choose(this.#active);
    } else {
      return;
    }
    event.preventDefault();
    event.stopImmediatePropagation();
  }

  #activate(at) {
    this.#list.children[this.#active]?.setAttribute("aria-selected", "false");
    this.#active = at;
    const row = this.#list.children[at];
    if (row) {
      row.setAttribute("aria-selected", "true");
      row.scrollIntoView({ block: "nearest" });
      this.#box.setAttribute("aria-activedescendant", row.id);
    } else {
      this.#box.removeAttribute("aria-activedescendant");
    }
  }

  #choose(at) {
    const chosen = this.#shown[at];
    this.close();
    this.#options.onChoose(chosen);
  }
}

const videos = ({ videos: count }) => `${format.count(count)} ${count === 1 ? "video" : "videos"}`;
// What stands before each, and what is said of it.
const KINDS = {
  recent: { drawing: "clock", said: () => ", searched before" },
  meant: { drawing: "search", said: () => "Did you mean", isShown: true },
  title: { drawing: "play", said: () => ", video" },
  channel: { drawing: "channel", said: (one) => `Channel, ${videos(one)}`, isShown: true },
  tag: { drawing: "tag", said: (one) => `Tag, ${videos(one)}`, isShown: true },
};
