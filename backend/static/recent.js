// What was searched for in this browser, the last one first. It stays here.

import { HERE, recall, remember } from "./storage.js";

const STORED = `twinlens-searches${HERE}`;
const MOST = 20;
const LONGEST = 200;

export class RecentSearches {
  /** Words that were searched for, the last ones first. Read anew: another tab may have added some. */
  get words() {
    try {
      const stored = JSON.parse(recall(STORED) ?? "[]");
      return Array.isArray(stored) ? stored.filter((one) => typeof one === "string") : [];
    } catch {
      return []; // It holds something else.
    }
  }

  add(words) {
    if (!words || words.length > LONGEST) return;
    const others = this.words.filter((one) => one !== words);
    remember(STORED, JSON.stringify([words, ...others].slice(0, MOST)));
  }

  clear() {
    remember(STORED, null);
  }
}
