// What was opened, watched and turned down in this browser. It stays here, unless someone agrees to
// have it sent; the feed is asked with it, as `events` in a request that the server does not keep.

import { makeId } from "./client.js";
import { HERE, recall, remember } from "./storage.js";

const STORED = `twinlens-history${HERE}`;
// As many as a request for a feed may bring.
const MOST = 500;

export class WatchHistory {
  #events = [];
  #on = true;
  #listeners = [];

  constructor() {
    this.#read();
    // Another tab of this site may have added to it.
    addEventListener("storage", (event) => {
      if (event.key === STORED || event.key === null) {
        this.#read();
        this.#listeners.forEach((listener) => listener());
      }
    });
  }

  /** Whether what happens is kept. */
  get on() {
    return this.#on;
  }

  /** The events as the API takes them, the latest last. */
  get events() {
    return this.#events.map(({ position_s, ...event }) => event);
  }

  /** Call `listener` whenever something was added or taken away; with the event, where one was added. */
  onChange(listener) {
    this.#listeners.push(listener);
  }

  /** Keep what happened: `type`, `video_id` and what else belongs to it. A watch goes on by `watch_id`. */
  add(fields) {
    if (!this.#on) return;
    const before = fields.watch_id && this.#events.find(({ watch_id }) => watch_id === fields.watch_id);
    const event = before
      ? Object.assign(before, fields)
      : { event_id: makeId(), at: new Date().toISOString(), ...fields };
    if (!before) this.#events = [...this.#events, event].slice(-MOST);
    this.#write(event);
  }

  /** Videos that were watched, the last one first, each once: `{ video_id, at, watched_s, … }`. */
  get watched() {
    const latest = new Map();
    for (const event of this.#events) {
      if (event.type !== "watch" && event.type !== "click") continue;
      const known = latest.get(event.video_id);
      latest.delete(event.video_id);
      latest.set(event.video_id, { ...known, ...event });
    }
    return [...latest.values()].reverse();
  }

  /** Those begun and not finished, the last one first. */
  get unfinished() {
    return this.watched.filter(({ position_s, duration_s }) =>
      position_s > 5 && duration_s && position_s < 0.95 * duration_s);
  }

  /** Ids of videos that nobody wants to be shown again. */
  get unwanted() {
    return new Set(this.#events.filter(({ type }) => type === "not_interested").map((one) => one.video_id));
  }

  /** Forget all of one video. */
  remove(videoId) {
    this.#events = this.#events.filter(({ video_id }) => video_id !== videoId);
    this.#write();
  }

  clear() {
    this.#events = [];
    this.#write();
  }

  /** Keep a history from now on, or keep none: then what there is goes. */
  keep(on) {
    this.#on = on;
    if (on) this.#write();
    else this.clear();
  }

  #read() {
    try {
      const { on = true, events = [] } = JSON.parse(recall(STORED) ?? "{}");
      this.#on = on !== false;
      this.#events = Array.isArray(events) ? events.filter((one) => typeof one?.video_id === "string") : [];
    } catch {
      // It holds something else.
    }
  }

  #write(event) {
    remember(STORED, JSON.stringify({ on: this.#on, events: this.#events }));
    this.#listeners.forEach((listener) => listener(event));
  }
}
