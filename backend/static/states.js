// What is said when there is nothing to show: nothing found, something missing, something wrong.

import { TwinLensError } from "./client.js";
import { element, icon } from "./dom.js";
import { apiKey, useApiKey } from "./key.js";

const SENTENCES = {
  network_error: ["The server can't be reached", "Check the connection, then try again."],
  unexpected_answer: ["The server gave an odd answer", "Something between here and there may be broken."],
  not_ready: ["Nothing to search yet", "No index is published, or its engine is away for a moment."],
  overloaded: ["The server is busy", "Too many ask at once."],
  rate_limited: ["A little slower, please", "Too many requests came from here."],
  video_not_found: ["This video is not here", "It may have left the catalogue since the link was made."],
  picture_rejected: ["This picture can't be read", "Try a JPEG, PNG, WebP, AVIF, GIF or BMP file."],
  body_too_large: ["This picture is too large", "Try a smaller one."],
  validation_failed: ["The server can't do that", null],
  not_encodable: ["That can't be compared with anything", "Try other words, or another picture."],
};

/** A message in the middle of where something else would be. */
export function message({ drawing, heading, text = null, actions = [], more = null, role = null }) {
  return element("div", { className: "message", ...(role && { role }) },
    icon(drawing),
    element("h2", { textContent: heading }),
    text ? element("p", { textContent: text }) : null,
    actions.length ? element("p", { className: "actions" }, ...actions) : null,
    more);
}

export const button = (text, onclick, properties = {}) =>
  element("button", { type: "button", className: "button", textContent: text, onclick, ...properties });

/**
 * What went wrong, in words; with the code and the request's id for whoever runs the server. Where
 * `actions` are given, they stand in the place of trying `again`.
 */
export function failure(error, again, { actions, ...said } = {}) {
  if (!(error instanceof TwinLensError)) {
    console.error(error);
    error = new TwinLensError("this page made a mistake", { code: "page_error" });
  }
  const [heading, text] = SENTENCES[error.code] ?? ["Something went wrong", null];
  if (error.code === "unauthorized") return askForKey(error);
  const retry = button("Try again", again);
  if (error.retryAfter) wait(retry, Math.min(error.retryAfter, 3600));
  return message({
    drawing: "warning", heading, text: text ?? sentence(error), ...said, actions: actions ?? [retry],
    role: "alert", more: factsOf(error),
  });
}

function factsOf(error) {
  const facts = [["code", error.code], ["request", error.requestId]].filter(([, value]) => value);
  return element("dl", { className: "facts" }, ...facts.map(([name, value]) => element("div", {},
    element("dt", { textContent: name }), element("dd", {}, element("code", { textContent: value })))));
}

/** The server asks for a key, or for another one: it is kept for this tab, and never stands in an address. */
function askForKey(error) {
  const key = element("input", {
    type: "password", required: true, autocomplete: "off", "aria-label": "API key", placeholder: "API key",
  });
  const form = element("form", { className: "key" }, key,
    element("button", { className: "button primary", textContent: "Go on" }));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    useApiKey(key.value.trim());
  });
  return message({
    drawing: "key", role: "alert", more: element("div", {}, form, factsOf(error)),
    ...(apiKey()
      ? { heading: "The server refused this key", text: "Check it for a slip, or ask for another one." }
      : { heading: "This server asks for a key", text: "It is kept for this tab only." }),
  });
}

function sentence(error) {
  const said = error.errors.length
    ? error.errors.map(({ field, message: wrong }) => `${field}: ${wrong}`).join("; ")
    : error.message;
  return `${said[0].toUpperCase()}${said.slice(1)}${/[.!?]$/.test(said) ? "" : "."}`;
}

/** The server said when it is worth trying again: the button counts down to it. */
function wait(retry, seconds) {
  const until = Date.now() + seconds * 1000;
  retry.disabled = true;
  const tick = () => {
    const left = Math.ceil((until - Date.now()) / 1000);
    retry.disabled = left > 0;
    retry.textContent = left > 0 ? `Try again in ${left} s` : "Try again";
    if (left > 0 && (retry.isConnected || left === seconds)) setTimeout(tick, 250);
  };
  tick();
}
