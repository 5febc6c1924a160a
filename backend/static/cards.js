// A video as it stands in a list, and why it ranked where it did.

import { element, icon } from "./dom.js";
import { known, labelOf, unitOf } from "./fields.js";
import * as format from "./format.js";
import * as lenses from "./lenses.js";

const CARD_SIZES = "(max-width: 560px) 100vw, 300px";

/** The picture of a video, 16:9 from the start so that nothing moves when it comes. */
export function thumbnail(video, picture, { eager = false, sizes = CARD_SIZES } = {}) {
  const frame = element("span", { className: "thumbnail" });
  const drawing = icon("alike");
  const missing = () => {
    frame.classList.add("is-missing");
    frame.prepend(drawing);
  };
  if (video.thumbnail_url) {
    const image = element("img", {
      alt: "", width: 320, height: 180, loading: eager ? "eager" : "lazy", decoding: "async",
    });
    image.addEventListener("load", () => {
      image.classList.add("is-loaded");
      frame.classList.remove("is-missing");
      drawing.remove();
    });
    image.addEventListener("error", missing);
    picture(image, video, sizes);
    frame.append(image);
  } else {
    missing();
  }
  const length = lengthOf(video);
  if (length !== undefined) {
    // Said after the title, by spokenLength(): a link is not to begin with it.
    frame.append(element("span", {
      className: "duration", textContent: format.clock(video[length]), "aria-hidden": "true",
    }));
  }
  return frame;
}

/** The title in an element of its own, in its own language; `parts` are those of a highlight. */
export function titled(name, video, properties = {}, parts = null) {
  const title = video.title ?? "Untitled";
  const made = element(name, { dir: "auto", ...properties });
  const language = video.title === null ? "" : format.languageOf(title, video.language);
  if (language) made.lang = language;
  made.append(...(parts ?? [{ text: title, matched: false }]).map(({ text, matched }) =>
    (matched ? element("mark", { textContent: text }) : text)));
  return made;
}

/** "Colombo Kitchen", and below it "12K views · 3 years ago" */
export function details(video) {
  const made = element("span", { className: "details" });
  const add = (...content) => made.append(element("span", {}, ...content));
  for (const name of known(video, ["keyword"], { card: true })) made.append(owner(video[name]));
  for (const name of known(video, ["count"], { card: true })) add(counted(name, video[name], format.few));
  for (const name of known(video, ["moment"], { card: true })) {
    add(element("time", {
      dateTime: video[name], title: format.date(video[name]), textContent: format.since(video[name]),
    }));
  }
  return made;
}

/** "1,234 views", as long as `written` writes numbers. */
export const counted = (name, number, written = format.count) => `${written(number)} ${unitOf(name, number)}`;

/** The field that says how long a video is, if it has it. */
const lengthOf = (video) => known(video, ["duration"], { card: true })[0];

function spokenLength(video) {
  const name = lengthOf(video);
  return name === undefined ? null : element("span", {
    className: "visually-hidden", textContent: `${labelOf(name)} ${format.clock(video[name])}`,
  });
}

/** Whose video it is. */
export const owner = (name) => element("span", {
  className: "channel", dir: "auto", textContent: name, lang: format.languageOf(name, ""),
});

/** The rank in each of the rankings that found the video; of several `seeds`, the one it is most like. */
export function why(hit, { borrowed, seeds, videoOf }) {
  const list = element("span", { className: "why" });
  for (const [lens, source] of Object.entries(hit.sources)) {
    if (!source) continue;
    list.append(element("span", {
      className: `lens by-${lens}`,
      title: `${ordinal(source.rank)} ${lenses.meaningOf(lens)}, ${lenses.scored(lens, source.score)}`
        + (borrowed && lens === "thumbnail" ? `. ${BORROWED}` : ""),
      textContent: `${lenses.labelOf(lens)} #${source.rank}`,
    }));
  }
  if (hit.duplicates?.length) {
    const others = hit.duplicates.length;
    list.append(element("span", {
      className: "lens folded", textContent: `+${others} alike`,
      title: `${others} near-identical ${others === 1 ? "upload is" : "uploads are"} folded into this`,
    }));
  }
  if (seeds > 1 && hit.because?.length) {
    list.append(element("span", { className: "because" }, "Like ", titleOf(hit.because[0], videoOf)));
  }
  return list;
}

/** The title of a video that is known by its id alone, in its place as soon as it came. */
function titleOf(videoId, videoOf) {
  const place = element("span", { textContent: "…" });
  videoOf(videoId).then(
    (video) => place.replaceWith(titled("cite", video)), () => { place.textContent = videoId; },
  );
  return place;
}

const BORROWED = "Words can't be compared with thumbnails, so those of the best hits stand in for them.";

const endings = { one: "st", two: "nd", few: "rd", other: "th" };
const plural = new Intl.PluralRules("en", { type: "ordinal" });
const ordinal = (number) => `${format.count(number)}${endings[plural.select(number)]}`;

/** Why a hit ranked, at length: a row for every ranking, also for those it is not in. */
export function whyTable({ hit, borrowed, window }, videoOf) {
  const rows = Object.entries(hit.sources).map(([lens, source]) => element("tr", {},
    element("th", { scope: "row" },
      element("span", { className: `lens by-${lens}`, textContent: lenses.labelOf(lens) }),
      element("span", { className: "meaning", textContent: lenses.meaningOf(lens) })),
    element("td", { textContent: source ? `#${source.rank}` : "–" }),
    element("td", {
      textContent: source ? lenses.scored(lens, source.score) : `not in the first ${window}`,
    })));
  const table = element("table", { className: "why-table" },
    element("caption", { textContent: `Why it is number ${hit.rank} in the list` }),
    element("tbody", {}, ...rows));
  const because = (hit.because ?? []).flatMap((videoId, at) => [at ? ", " : "", titleOf(videoId, videoOf)]);
  return element("div", {}, table,
    borrowed && hit.sources.thumbnail ? element("p", { className: "note", textContent: BORROWED }) : null,
    because.length ? element("p", { className: "note" }, "Recommended by ", ...because, ".") : null);
}

/**
 * A card of a list: one link, with all there is to say of the video in it. `videoOf(videoId)` is a
 * promise of another video.
 */
export function card({ video, hit }, { picture, addressOf, videoOf, borrowed = false, seeds = 0, sizes }) {
  const link = element("a", {
    className: "card", href: addressOf(video.video_id), dataset: { videoId: video.video_id },
  },
  thumbnail(video, picture, { sizes }),
  element("span", { className: "text" },
    titled("span", video, { className: "title" }, hit?.highlight?.title),
    details(video),
    spokenLength(video),
    hit ? why(hit, { borrowed, seeds, videoOf }) : null));
  return element("li", {}, link);
}

/** What stands in a list while it is fetched. */
export const placeholder = () => element("li", { className: "placeholder", "aria-hidden": "true" },
  element("span", { className: "thumbnail" }),
  element("span", { className: "line" }), element("span", { className: "line short" }));
