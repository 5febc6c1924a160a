// The page: what is shown follows from the address (?q= what is searched, ?v= the opened video)
// and from the picture that was chosen, which can't stand in an address.

const API = "/api/v1";
const PAGE_SIZE = 24;
const TYPING_PAUSE_MS = 250;

const byId = (id) => document.getElementById(id);
const [form, text, file, hits, more, status, heading, opened] =
  ["search", "text", "file", "hits", "more", "status", "heading", "video"].map(byId);

let picture = null;
let showing = new AbortController();

// ---- talking to the API

class Failure extends Error {}

async function call(path, options = {}) {
  let response;
  try {
    response = await fetch(API + path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure("The server can't be reached.");
  }
  const body = await response.json().catch(() => null);
  if (response.ok && body) return body;
  const failure = new Failure(body?.detail ?? `The server answered ${response.status}.`);
  failure.code = body?.code;
  throw failure;
}

function search(fields, signal) {
  const wanted = { limit: PAGE_SIZE, explain: true, ...fields };
  if (!picture) {
    const headers = { "Content-Type": "application/json" };
    return call("/search", { method: "POST", headers, body: JSON.stringify(wanted), signal });
  }
  const body = new FormData();
  for (const [name, value] of Object.entries(wanted)) body.append(name, value);
  body.append("image", picture.file, "picture");
  return call("/search", { method: "POST", body, signal });
}

function similar(videoId, fields, signal) {
  const wanted = new URLSearchParams({ limit: PAGE_SIZE, explain: true, ...fields });
  return call(`/videos/${encodeURIComponent(videoId)}/similar?${wanted}`, { signal });
}

// ---- making elements; text only ever becomes text, never markup

function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("aria-")) made.setAttribute(key, value);
    else made[key] = value;
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

function thumbnail(video, { eager = false } = {}) {
  const frame = element("span", { className: "thumbnail" });
  if (video.thumbnail_url) {
    const image = element("img", { alt: "", loading: eager ? "eager" : "lazy", decoding: "async" });
    image.addEventListener("error", () => image.remove());
    image.src = video.thumbnail_url;
    frame.append(image);
  }
  const length = duration(video.duration_s);
  if (length) frame.append(element("span", { className: "duration", textContent: length }));
  return frame;
}

function duration(seconds) {
  if (seconds === null) return "";
  const whole = Math.round(seconds);
  const parts = [Math.floor(whole / 60) % 60, whole % 60].map((n) => String(n).padStart(2, "0"));
  return whole >= 3600 ? `${Math.floor(whole / 3600)}:${parts.join(":")}` : parts.join(":");
}

const compact = new Intl.NumberFormat("en", { notation: "compact" });
const calendar = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeZone: "UTC" });

function details(video) {
  return [
    video.channel,
    video.view_count === null ? null : `${compact.format(video.view_count)} views`,
    video.published_at === null ? null : calendar.format(new Date(video.published_at)),
  ].filter(Boolean).join(" · ");
}

function titled(name, video, properties) {
  const title = video.title ?? "No title";
  return element(name, { textContent: title, dir: "auto", lang: video.language ?? "", ...properties });
}

function why(hit, borrowed) {
  const list = element("span", { className: "why" });
  for (const [lens, source] of Object.entries(hit.sources)) {
    if (!source) continue;
    const indirect = borrowed && lens === "thumbnail";
    list.append(element("span", {
      className: `lens by-${lens}`,
      textContent: `${lens} #${source.rank}`,
      title: `Rank ${source.rank} by ${lens}, ${lens === "words" ? "BM25" : "similarity"} `
        + source.score.toFixed(3)
        + (indirect ? "; compared with the thumbnails of the best hits by title and words" : ""),
    }));
  }
  return list;
}

function card(hit, borrowed) {
  const { video } = hit;
  const link = element(
    "a", { href: address({ v: video.video_id }), className: "card" },
    thumbnail(video),
    titled("span", video, { className: "title" }),
    element("span", { className: "details", textContent: details(video) }),
    why(hit, borrowed),
  );
  link.addEventListener("click", (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    go({ v: video.video_id });
  });
  return element("li", {}, link);
}

// ---- what is shown

const current = () => new URLSearchParams(location.search);

function address(changes) {
  const parameters = current();
  for (const [name, value] of Object.entries(changes)) {
    if (value) parameters.set(name, value);
    else parameters.delete(name);
  }
  return `/${parameters.size ? "?" : ""}${parameters}`;
}

function go(changes, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", address(changes));
  if (!replace) scrollTo(0, 0);
  show();
}

async function show() {
  showing.abort();
  showing = new AbortController();
  const { signal } = showing;
  const query = current().get("q")?.trim() ?? "";
  const videoId = current().get("v");
  if (document.activeElement !== text) text.value = query;

  if (!videoId) closeVideo();
  if (!videoId && !query && !picture) return welcome(signal);
  wait();
  try {
    if (videoId) await showVideo(videoId, signal);
    else await list((fields) => search({ ...(query && { text: query }), ...fields }, signal));
  } catch (error) {
    if (error.name !== "AbortError") fail(error);
  }
}

async function showVideo(videoId, signal) {
  const ask = (fields) => similar(videoId, fields, signal);
  const [{ video }, first] = await Promise.all([
    call(`/videos/${encodeURIComponent(videoId)}`, { signal }), ask({}),
  ]);
  openVideo(video);
  await list(ask, first);
  heading.textContent = "You may also like";
  heading.hidden = false;
}

async function list(ask, first = null) {
  const answer = first ?? (await ask({}));
  hits.replaceChildren(...answer.hits.map((hit) => card(hit, answer.borrowed_from.length > 0)));
  hits.ariaBusy = "false";
  heading.hidden = true;
  status.textContent = answer.hits.length
    ? "" : "Nothing found. Try other words, or another picture.";
  offerMore(ask, answer);
}

function offerMore(ask, answer) {
  more.hidden = !answer.next_cursor;
  more.onclick = async () => {
    more.disabled = true;
    try {
      const next = await ask({ cursor: answer.next_cursor });
      const cards = next.hits.map((hit) => card(hit, next.borrowed_from.length > 0));
      hits.append(...cards);
      cards[0]?.querySelector("a").focus({ preventScroll: true });
      offerMore(ask, next);
    } catch (error) {
      // The index changed meanwhile: its ranks are others now, so start again.
      if (error.code === "cursor_expired") show();
      else if (error.name !== "AbortError") fail(error);
    } finally {
      more.disabled = false;
    }
  };
}

function openVideo(video) {
  document.title = `${video.title ?? "Video"} · TwinLens`;
  const back = element("a", { className: "back", href: address({ v: null }), textContent: "← Back" });
  back.addEventListener("click", (event) => {
    event.preventDefault();
    go({ v: null });
  });
  const about = [
    titled("h1", video, { id: "video-title", tabIndex: -1 }),
    element("p", { className: "details", textContent: details(video) }),
    element("p", { className: "tags" }, ...[video.category, ...video.tags].filter(Boolean)
      .map((tag) => element("span", { className: "tag", textContent: tag, dir: "auto" }))),
  ];
  if (/^https?:\/\//i.test(video.url ?? "")) {
    about.push(element("a", {
      className: "watch", href: video.url, rel: "noopener noreferrer", target: "_blank",
      textContent: "Watch where it lives ↗",
    }));
  }
  opened.replaceChildren(
    back, thumbnail(video, { eager: true }), element("div", { className: "about" }, ...about),
  );
  opened.hidden = false;
  if (document.activeElement !== text) byId("video-title").focus({ preventScroll: true });
}

function closeVideo() {
  document.title = "TwinLens";
  opened.hidden = true;
  opened.replaceChildren();
  heading.hidden = true;
}

function wait() {
  hits.ariaBusy = "true";
  more.hidden = true;
  status.textContent = "";
  if (hits.childElementCount === 0) {
    const placeholder = () => element(
      "li", { className: "placeholder", "aria-hidden": "true" },
      element("span", { className: "thumbnail" }), element("span", { className: "title" }),
    );
    hits.replaceChildren(...Array.from({ length: 8 }, placeholder));
  }
}

function clear() {
  hits.replaceChildren();
  hits.ariaBusy = "false";
  more.hidden = true;
}

function fail(error) {
  clear();
  if (!(error instanceof Failure)) console.error(error);
  const again = element("button", { type: "button", textContent: "Try again", onclick: show });
  status.replaceChildren(
    error instanceof Failure ? error.message : "This page made a mistake.", " ", again,
  );
}

async function welcome(signal) {
  clear();
  status.textContent = "";
  try {
    const { counts } = await call("/stats", { signal });
    const count = new Intl.NumberFormat("en").format(counts.videos);
    status.replaceChildren(
      element("strong", { textContent: `${count} videos, seen through two lenses` }),
      "Type what you are looking for, or drop, paste or choose a picture. "
        + "Each result says how well its title and its thumbnail fit.",
    );
  } catch (error) {
    if (error.name !== "AbortError") fail(error);
  }
}

// ---- what a person does

function take(chosen) {
  if (picture) URL.revokeObjectURL(picture.url);
  picture = chosen ? { file: chosen, url: URL.createObjectURL(chosen) } : null;
  byId("picture").hidden = !picture;
  byId("picture-preview").src = picture?.url ?? "";
  file.value = "";
  go({ v: null });
}

const firstPicture = (files) => [...(files ?? [])].find((one) => one.type.startsWith("image/"));

let typing;
text.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => {
    // Letters typed into one search are one step of history.
    const same = current().has("q") && !current().has("v");
    go({ q: text.value.trim(), v: null }, { replace: same });
  }, TYPING_PAUSE_MS);
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(typing);
  go({ q: text.value.trim(), v: null });
});
file.addEventListener("change", () => file.files[0] && take(file.files[0]));
byId("picture-remove").addEventListener("click", () => take(null));
document.querySelector("[data-home]").addEventListener("click", (event) => {
  event.preventDefault();
  text.value = "";
  text.blur();
  history.pushState(null, "", "/");
  take(null);
});
addEventListener("paste", (event) => {
  const pasted = firstPicture(event.clipboardData?.files);
  if (pasted) take(pasted);
});
addEventListener("dragover", (event) => {
  if (![...event.dataTransfer.types].includes("Files")) return;
  event.preventDefault();
  byId("drop").hidden = false;
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) byId("drop").hidden = true;
});
addEventListener("drop", (event) => {
  byId("drop").hidden = true;
  if (!event.dataTransfer.files.length) return;
  event.preventDefault();
  const dropped = firstPicture(event.dataTransfer.files);
  if (dropped) take(dropped);
  else fail(new Failure("That is not a picture."));
});
addEventListener("popstate", show);
addEventListener("keydown", (event) => {
  if (event.key === "/" && !["INPUT", "TEXTAREA"].includes(document.activeElement.tagName)) {
    event.preventDefault();
    text.focus();
  }
});

show();
