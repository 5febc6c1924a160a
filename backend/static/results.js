// The grid: the first page of a list, the next ones while scrolling, and what is said meanwhile.

import { card, placeholder } from "./cards.js";
import { announce, byId, element } from "./dom.js";
import { message } from "./states.js";

// A page is asked for when the end of the list is this near to the window.
const AHEAD = "700px";
// A quick answer should not make the list flicker.
const DIM_AFTER_MS = 180;
const KEPT_LISTS = 8;
const SKELETONS = 12;
const NEAREST = { drawing: "search", heading: "No video fits", text: "These come nearest." };

export class Results {
  #grid = byId("results");
  #more = byId("more");
  #state = byId("state");
  #tail = byId("tail");
  #options;
  #kept = new Map();
  #showing = new AbortController();
  #dimming;
  #loading = false;
  #list = null;

  /**
   * `options`: those of cards; onList(list, signal): a list came, or null for none; onMore(): so did
   * another page of it; said(error, again): the message of a list that can't be had.
   */
  constructor(options) {
    this.#options = options;
    this.#more.addEventListener("click", () => this.#next({ focus: true }));
    this.#grid.addEventListener("keydown", (event) => this.#move(event));
    new IntersectionObserver(
      // A busy page hears of several moments at once, of which the last is now.
      (entries) => entries.at(-1).isIntersecting && this.#next(), { rootMargin: AHEAD },
    ).observe(this.#tail);
  }

  /** The item of a video in the list, with what it needs to be explained, or null. */
  find(videoId) {
    const item = this.#list?.items.find(({ video }) => video.video_id === videoId);
    return item ? { ...item, borrowed: this.#list.borrowed, window: this.#list.window } : null;
  }

  /** Remember how far down the list one is, for when one comes back to it. */
  leave() {
    if (this.#list) this.#list.scrolled = scrollY;
  }

  /** Show nothing but what `content` says. */
  say(content) {
    this.#stop();
    this.#list = null;
    this.#grid.replaceChildren();
    this.#say(content);
    this.#tail.hidden = true;
    this.#options.onList(null);
  }

  /**
   * Show the list that `question` answers with; `key` tells it from others. Coming `back` to a list
   * shows it as it was left.
   */
  async show(key, question, { back = false, empty }) {
    this.#stop();
    const kept = this.#kept.get(key);
    if (back && kept) {
      this.#list = kept;
      this.#draw();
      scrollTo({ top: kept.scrolled, behavior: "instant" });
      return;
    }
    const { signal } = this.#showing;
    this.#list = null;
    this.#wait();
    try {
      const first = await question(undefined, { signal });
      this.#list = {
        ...first, key, question, empty, first, scrolled: 0, retry: () => this.show(key, question, { empty }),
      };
      this.#keep();
      this.#draw();
    } catch (error) {
      if (signal.aborted) return;
      this.#list = null;
      this.#grid.replaceChildren();
      this.#ready();
      this.#tail.hidden = true;
      this.#options.onList(null);
      this.#say(this.#options.said(error, () => this.show(key, question, { empty })));
    }
  }

  #stop() {
    this.#showing.abort();
    this.#showing = new AbortController();
    this.#loading = false;
    this.#ready();
  }

  /** Say this and no more; who stands on a button that goes away is taken to the heading. */
  #say(...content) {
    const stoodHere = this.#state.contains(document.activeElement);
    this.#state.replaceChildren(...content);
    if (stoodHere) byId("heading").focus({ preventScroll: true });
  }

  #wait() {
    this.#say();
    this.#tail.hidden = true;
    this.#grid.ariaBusy = "true";
    if (this.#grid.childElementCount === 0) {
      this.#grid.replaceChildren(...Array.from({ length: SKELETONS }, placeholder));
    } else {
      this.#dimming = setTimeout(() => this.#grid.classList.add("is-old"), DIM_AFTER_MS);
    }
  }

  #ready() {
    clearTimeout(this.#dimming);
    this.#grid.classList.remove("is-old");
    this.#grid.ariaBusy = "false";
  }

  #keep() {
    this.#kept.delete(this.#list.key);
    this.#kept.set(this.#list.key, this.#list);
    if (this.#kept.size > KEPT_LISTS) this.#kept.delete(this.#kept.keys().next().value);
  }

  #cards(items) {
    const { borrowed, seeds } = this.#list;
    return items.map((item) => card(item, { ...this.#options, borrowed, seeds }));
  }

  #draw() {
    const list = this.#list;
    this.#ready();
    this.#grid.replaceChildren(...this.#cards(list.items));
    const said = list.nearest ? NEAREST : list.items.length ? null : list.empty;
    this.#say(...(said ? [message(said)] : []));
    this.#offerMore();
    this.#options.onList(list, this.#showing.signal);
  }

  #offerMore() {
    this.#tail.querySelectorAll(".end, .message").forEach((said) => said.remove());
    this.#more.hidden = !this.#list.next_cursor || Boolean(this.#list.stuck);
    this.#more.textContent = "Show more";
    this.#tail.hidden = false;
    const many = this.#list.items.length;
    if (!this.#list.next_cursor && many > SKELETONS) {
      this.#tail.append(element("p", { className: "end", textContent: "That is all." }));
    }
    this.#nextIfNear();
  }

  async #next({ focus = false } = {}) {
    const list = this.#list;
    if (!list?.next_cursor || list.stuck || this.#loading) return;
    this.#loading = true;
    // Not disabled: that would take the focus away from whoever pressed it.
    this.#more.textContent = "Loading…";
    const { signal } = this.#showing;
    try {
      const next = await list.question(list.next_cursor, { signal });
      list.items.push(...next.items);
      list.next_cursor = next.next_cursor;
      const cards = this.#cards(next.items);
      this.#grid.append(...cards);
      this.#options.onMore();
      if (focus) {
        cards[0]?.querySelector("a").focus({ preventScroll: true });
        announce(`${list.items.length} videos shown`);
      }
      this.#loading = false;
      this.#offerMore();
    } catch (error) {
      if (signal.aborted) return;
      this.#loading = false;
      if (error.code === "cursor_expired") {
        // Another index was published meanwhile: its ranks are others, so it begins anew.
        this.#kept.clear();
        announce("The catalogue has changed; the list starts again.");
        scrollTo({ top: 0, behavior: "instant" });
        list.retry();
        return;
      }
      list.stuck = true;
      this.#offerMore();
      this.#tail.append(this.#options.said(error, () => {
        list.stuck = false;
        this.#offerMore();
        this.#next({ focus: true });
      }));
    }
  }

  /** The observer speaks when the end comes near, not while it stays there. */
  #nextIfNear() {
    requestAnimationFrame(() => {
      const near = this.#tail.getBoundingClientRect().top < innerHeight + Number.parseInt(AHEAD, 10);
      if (near) this.#next();
    });
  }

  /** Arrow keys go through the grid as it is laid out. */
  #move(event) {
    const links = [...this.#grid.querySelectorAll("a.card")];
    const at = links.indexOf(document.activeElement);
    if (at < 0 || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const columns = getComputedStyle(this.#grid).gridTemplateColumns.split(" ").length;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
    const to = { Home: 0, End: links.length - 1 }[event.key] ?? at + steps[event.key];
    if (!links[to]) return;
    event.preventDefault();
    links[to].focus();
  }
}
