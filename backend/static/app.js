// The page. An address makes a view, a view makes a list and perhaps an opened video; what a person
// does only ever changes the address.

import { filterCount, isRanked, listOf, newSeed, readView, unfiltered, writeView } from "./address.js";
import { TwinLens } from "./client.js";
import { announce, byId, isPlainClick } from "./dom.js";
import { COUNTED, SORTS } from "./fields.js";
import * as format from "./format.js";
import { apiKey } from "./key.js";
import { WatchHistory } from "./history.js";
import { HistoryPanel } from "./history-panel.js";
import { facetsOf, questionOf } from "./lists.js";
import { Consent } from "./consent.js";
import { Pictures } from "./pictures.js";
import { RecentSearches } from "./recent.js";
import { Refine } from "./refine.js";
import { Results } from "./results.js";
import { Seeds } from "./seeds.js";
import { Shelves } from "./shelves.js";
import { button, failure, message } from "./states.js";
import { remember } from "./storage.js";
import { SuggestionList } from "./suggest.js";
import { thumbnailsOf } from "./thumbnails.js";
import { VideoDialog } from "./video.js";

const TYPING_PAUSE_MS = 220;
// Of hits that the API gives at once.
const LARGEST_PAGE = 100;

const twinlens = new TwinLens({ baseUrl: ".", apiKey: apiKey() });
const text = byId("text");
byId("sort").append(...SORTS.map(({ value, label }) => new Option(label, value)));
let view = readView(location.search);
let shownList = null;

// ---- where things are

const addressOf = (changed) => `./${writeView(changed)}`;
const addressOfVideo = (video) => addressOf({ ...view, video });

const picture = thumbnailsOf(twinlens, { keyed: Boolean(apiKey()) });

// Whether the view is one to come back to: letters typed next are then a step of their own.
let settled = true;

/** Change the view, and with it the address; whether it changed. */
function go(changes, { replace = false } = {}) {
  refine.settle();
  const before = view;
  const next = { ...view, ...changes };
  if (writeView(next) === writeView(before)) return false;
  settled = true;
  results.leave();
  history[replace ? "replaceState" : "pushState"](trail(before, next, replace), "", addressOf(next));
  if (listOf(next) !== listOf(before)) scrollTo({ top: 0, behavior: "instant" });
  show();
  return true;
}

/** How many steps back the list is from which a video was opened; null where there is none. */
function trail(before, next, replace) {
  if (!next.video) return null;
  const steps = before.video ? history.state?.steps : 0;
  return { steps: steps === undefined ? undefined : steps + (replace ? 0 : 1) };
}

function closeVideo() {
  const steps = history.state?.steps;
  if (steps) history.go(-steps);
  else go({ video: "" }, { replace: true });
}

// ---- what is shown

const seeds = new Seeds({ twinlens, picture, onSeed: seed });
const ofCards = { picture, addressOf: addressOfVideo, videoOf: (videoId) => seeds.video(videoId) };
const watchHistory = new WatchHistory();
const shelves = new Shelves({ ...ofCards, twinlens, history: watchHistory });
const consent = new Consent(twinlens, watchHistory);
new HistoryPanel({ ...ofCards, history: watchHistory, consent });
const results = new Results({ ...ofCards, onList, onMore, said: listFailure });
const refine = new Refine(go);
const dialog = new VideoDialog({
  ...ofCards, twinlens, history: watchHistory, onClose: closeVideo, onSeed: seed,
  onNext: (video) => go({ video }),
});
const chooser = (text) => button(text, () => byId("choose").click(), { className: "button primary" });
const pictures = new Pictures({
  onTake: (name) => go({ picture: name, like: [], less: [], video: "" }),
  onRefuse: (why) => {
    announce(why);
    shownList = null;
    results.say(message({ drawing: "picture", heading: "That can't be searched by", text: why, role: "alert",
      actions: [chooser("Choose another picture"), button("Back to the videos", () => show())] }));
  },
});

function show({ back = false } = {}) {
  view = readView(location.search);
  if (!isRanked(view) && !view.sort && !view.seed) {
    // Each visit has its own videos; with the number in the address one can come back to them.
    view.seed = newSeed();
  }
  // The link to share is that of what is shown: what the address has beyond that is left out of it.
  if (writeView(view) !== location.search) {
    history.replaceState(history.state, "", addressOf(view) + location.hash);
  }
  showSearch();
  showHead();
  refine.show(view);
  shelves.show(!isRanked(view) && !view.sort && !filterCount(view));
  const list = listOf(view);
  if (list !== shownList) {
    shownList = list;
    showList(list, back);
  }
  if (!view.video) {
    dialog.close();
    document.title = documentTitle();
  } else if (dialog.videoId !== view.video) {
    dialog.open(view, results.find(view.video));
  }
}

function showList(list, back) {
  const given = pictures.get(view.picture);
  if (view.picture && !given) {
    results.say(message({
      drawing: "picture", heading: "This search is by a picture",
      text: "Pictures stay in the tab that they were chosen in, so this link doesn't have it. Choose or drop it here.",
      actions: [
        chooser("Choose the picture"),
        button("Search without it", () => go({ picture: "" })),
      ],
    }));
    return;
  }
  results.show(list, questionOf(twinlens, view, given?.file), { back, empty: nothing() });
}

/** Another page of the list came, which may explain the opened video. */
function onMore() {
  const item = results.find(view.video);
  if (item) dialog.explain(item);
}

/**
 * The opened video is explained by the list behind it, which may come after it. A link may lead to one
 * that is further down than the first page.
 */
async function explain(list, signal) {
  dialog.explain(results.find(view.video));
  let cursor = list && isRanked(view) ? list.next_cursor : null;
  try {
    while (cursor && view.video && !results.find(view.video)) {
      const page = await list.question(cursor, { signal, limit: LARGEST_PAGE });
      const item = page.items.find(({ video }) => video.video_id === view.video);
      if (item) return dialog.explain({ ...item, borrowed: list.borrowed, window: list.window });
      cursor = page.next_cursor;
    }
  } catch (error) {
    // The video is there; that it is not explained is no reason to say more.
    if (!signal.aborted) console.warn(error);
  }
}

/** A list came: say so, and offer the filters that would narrow it. */
async function onList(list, signal) {
  byId("summary").textContent = "";
  explain(list, signal);
  if (!list) return;
  const { total, items } = list;
  byId("summary").textContent = total === null
    ? `in ${format.took(list.took_ms)}` : `${format.count(total)} ${total === 1 ? "video" : "videos"}`;
  const shown = `${list.nearest ? "No video fits; " : ""}${items.length} videos shown`;
  announce(items.length ? `${byId("heading").textContent}: ${shown}` : "Nothing found");
  try {
    list.offered ??= await facetsOf(list.question, view, list.first, signal);
    if (!signal.aborted) refine.offer(list.offered);
  } catch (error) {
    // The list itself is there; the filters stay those of the list before.
    if (!signal.aborted) console.warn(error);
  }
}

const OF_THE_PICTURE = new Set(["picture_rejected", "body_too_large", "not_encodable"]);

/** What is said when a list can't be had: where asking the same again is no use, what else may help. */
function listFailure(error, again) {
  if (view.picture && OF_THE_PICTURE.has(error.code)) {
    return failure(error, again, {
      actions: [chooser("Choose another picture"), button("Search without it", () => go({ picture: "" }))],
    });
  }
  if (error.code === "video_not_found") {
    return failure(error, again, {
      heading: "These videos are not here", text: "They have left the catalogue since the link was made.",
      actions: [button("Go on without what is gone", () => leaveOutGone(view, again), { className: "button primary" })],
    });
  }
  return failure(error, again);
}

async function leaveOutGone(asked, again) {
  const [like, less] = await Promise.all([seeds.present(asked.like), seeds.present(asked.less)]);
  if (view === asked && !go({ like, less }, { replace: true })) again();
}

function nothing() {
  const actions = [];
  if (filterCount(view)) {
    actions.push(button("Clear the filters", () => go(unfiltered(view))));
  }
  if (isRanked(view)) actions.push(button("Browse all videos", home));
  return {
    drawing: "search", heading: "Nothing found", actions,
    text: filterCount(view) ? "No video passes these filters." : "Try other words, or another picture.",
  };
}

function showSearch() {
  // Whoever is typing is ahead of the address.
  if (document.activeElement !== text) text.value = view.text;
  byId("text-clear").hidden = !text.value;
  const given = pictures.get(view.picture);
  byId("picture").hidden = !given;
  if (given) byId("picture-preview").src = given.url;
  else byId("picture-preview").removeAttribute("src");
}

function headingOf() {
  const words = view.text && `“${view.text}”`;
  if (words && view.picture) return `${words}, like your picture`;
  if (words) return words;
  if (view.picture) return "Like your picture";
  if (view.like.length) return "Recommended";
  return view.sort ? byId("sort").selectedOptions[0].textContent : "Discover";
}

function showHead() {
  byId("sort").value = view.sort;
  byId("heading").textContent = headingOf();
  byId("heading").dir = "auto";
  byId("heading").lang = format.languageOf(view.text, "en");
  byId("sort-label").hidden = isRanked(view);
  byId("shuffle").hidden = isRanked(view) || Boolean(view.sort);
  seeds.show(view);
}

const documentTitle = () => (isRanked(view) ? `${headingOf()} · TwinLens` : "TwinLens");

// ---- videos to recommend by

/** Recommend by a video, or away from it; once more takes that back. */
function seed(videoId, liked) {
  const without = (ids) => ids.filter((one) => one !== videoId);
  const [mine, other] = liked ? ["like", "less"] : ["less", "like"];
  const chosen = view[mine].includes(videoId);
  const changes = {
    [mine]: chosen ? without(view[mine]) : [...view[mine], videoId], [other]: without(view[other]),
    text: "", picture: "", video: "", sort: "",
  };
  text.value = "";
  go(changes);
}

// ---- what a person does

const searched = () => ({ text: text.value.trim(), like: [], less: [], video: "" });

const recent = new RecentSearches();
const suggestions = new SuggestionList({ twinlens, picture, recent, onChoose: takeSuggestion });
// Who keeps no history keeps none of this either.
const keepSearch = () => watchHistory.on && recent.add(text.value.trim());
watchHistory.onChange(() => watchHistory.on || recent.clear());

let typing;
text.addEventListener("input", (event) => {
  byId("text-clear").hidden = !text.value;
  clearTimeout(typing);
  // Half-composed letters of an input method are no words yet.
  if (!event.isComposing) typed();
});
text.addEventListener("compositionend", typed);
text.addEventListener("change", keepSearch);

function typed() {
  clearTimeout(typing);
  typing = setTimeout(searchTyped, TYPING_PAUSE_MS);
  suggestions.ask(text.value);
}

// The quotes and dashes of a title demand nothing: its video is to be found by it.
const undemanding = (title) =>
  title.replace(/["“”„«»＂]/g, " ").replace(/(?<!\S)-+(?=\S)/g, "").trim() || title;

/** Go where a suggestion leads: to a video, to what a channel or a tag has, or to a search. */
function takeSuggestion({ kind, text: words, video_id: video = "" }) {
  clearTimeout(typing);
  const field = { channel: "channel", tag: "tags" }[kind];
  if (COUNTED.includes(field)) {
    text.value = "";
    const { counted } = readView("");
    go({ ...unfiltered(view), ...searched(), picture: "", counted: { ...counted, [field]: [words] } });
  } else {
    text.value = kind === "title" ? undemanding(words) : words;
    keepSearch();
    go({ ...searched(), video });
  }
}

/** Letters typed into one search are one step of history. */
function searchTyped() {
  clearTimeout(typing);
  if (go(searched(), { replace: Boolean(!settled && view.text && text.value.trim()) })) settled = false;
}

byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  suggestions.close();
  keepSearch();
  searchTyped();
  settled = true;
  // A phone's keyboard hides the results; a desktop's is no obstacle.
  if (matchMedia("(pointer: coarse)").matches) text.blur();
});
byId("text-clear").addEventListener("click", () => {
  text.value = "";
  suggestions.close();
  searchTyped();
  text.focus();
});
text.addEventListener("keydown", (event) => {
  if (event.key !== "ArrowDown" || event.isComposing) return;
  const first = byId("results").querySelector("a.card");
  if (!first) return;
  event.preventDefault();
  first.focus();
});
byId("picture-remove").addEventListener("click", () => {
  go({ picture: "" });
  text.focus();
});

function home() {
  text.value = "";
  clearTimeout(typing);
  go({ ...readView(""), seed: newSeed() });
}
byId("home").addEventListener("click", (event) => {
  if (!isPlainClick(event)) return;
  event.preventDefault();
  home();
});
byId("shuffle").addEventListener("click", () => go({ seed: newSeed() }));
byId("sort").addEventListener("change", (event) => go({ sort: event.target.value, seed: 0 }));

document.addEventListener("click", (event) => {
  const link = event.target.closest("a.card");
  if (!link || !isPlainClick(event)) return;
  event.preventDefault();
  go({ video: link.dataset.videoId });
});

addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches?.("input:not([type=checkbox], [type=radio], [type=range]), textarea, select")) return;
  if (document.querySelector("dialog:modal")) return;
  event.preventDefault();
  text.focus();
  text.select();
});

byId("theme").addEventListener("click", () => {
  const theme = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  remember("twinlens-theme", theme);
  showTheme();
});
const systemDark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme ?? (systemDark.matches ? "dark" : "light")) === "dark";
const showTheme = () => byId("theme").setAttribute("aria-pressed", String(isDark()));
systemDark.addEventListener("change", showTheme);
showTheme();

history.scrollRestoration = "manual";
addEventListener("popstate", () => {
  results.leave();
  suggestions.close();
  settled = true;
  // Going back shows that search's words, also to someone whose cursor stands in the box.
  text.value = readView(location.search).text;
  show({ back: true });
});

show();
