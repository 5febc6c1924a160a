// Whether what is watched here is sent to the server, so that it learns from it: not unless someone agrees.

import { EventSender, makeId } from "./client.js";
import { HERE, recall, remember } from "./storage.js";

const STORED = `twinlens-person${HERE}`;

export class Consent {
  #twinlens;
  #sender = null;

  constructor(twinlens, history) {
    this.#twinlens = twinlens;
    const personId = recall(STORED);
    if (personId) this.#send(personId);
    history.onChange((event) => event && this.#sender?.add(event));
  }

  get given() {
    return this.#sender !== null;
  }

  /** Send from now on, under a name made up for this browser; or no more, and forget that name. */
  give(on) {
    this.#sender?.close();
    this.#sender = null;
    const personId = on ? makeId() : null;
    if (personId) this.#send(personId);
    remember(STORED, personId);
  }

  #send(personId) {
    this.#sender = new EventSender(this.#twinlens, { personId });
  }
}
