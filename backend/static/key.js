// The API key of a server that asks for one: kept for this tab only.

import { HERE } from "./storage.js";

const STORED = `twinlens-api-key${HERE}`;
let given;

export function apiKey() {
  if (given === undefined) {
    try {
      given = sessionStorage.getItem(STORED) ?? "";
    } catch {
      given = "";
    }
  }
  return given || undefined;
}

/** Use this key from now on. */
export function useApiKey(key) {
  try {
    sessionStorage.setItem(STORED, key);
  } catch {
    // Storage is switched off: without a place for it the key can't be used.
  }
  location.reload();
}
