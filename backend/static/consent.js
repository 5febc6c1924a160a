// Whether what is watched here is sent to the server, so that it learns from it: not unless someone agrees.

import { EventSender } from "./client.js";

const STORED = "twinlens-person";

export class Consent {
  #twinlens;
  #sender = null;

  constructor(twinlens, history) {
    this.#twinlens = twinlens;
    try {
      const personId = localStorage.getItem(STORED);
      if (personId) this.#send(personId);
    } catch {
      // Storage is switched off: then nobody has agreed.
    }
    history.onChange((event) => event && this.#sender?.add(event));
  }

  get given() {
    return this.#sender !== null;
  }

  /** Send from now on, under a name made up for this browser; or no more, and forget that name. */
  give(on) {
    this.#sender?.close();
    this.#sender = null;
    const personId = on ? crypto.randomUUID() : null;
    if (personId) this.#send(personId);
    try {
      if (personId) localStorage.setItem(STORED, personId);
      else localStorage.removeItem(STORED);
    } catch {
      // For this visit only.
    }
  }

  #send(personId) {
    this.#sender = new EventSender(this.#twinlens, { personId });
  }
}
