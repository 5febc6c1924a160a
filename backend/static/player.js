// A media file in the page: how far it was watched, and what plays when it has ended.

import { makeId } from "./client.js";
import { element } from "./dom.js";

// What browsers play; a page about a video is no media file.
const MEDIA = /\.(?:mp4|m4v|webm|ogv|ogg|mov|mp3|m4a|wav)$/i;
const BEAT_MS = 10_000;
// Of a step larger than this somebody has jumped, which is no watching.
const LARGEST_STEP_S = 2;

/** Whether the video's address is that of a file that plays here. */
export function isMedia(video) {
  try {
    const { protocol, pathname } = new URL(video.url);
    return /^https?:$/.test(protocol) && MEDIA.test(pathname);
  } catch {
    return false;
  }
}

/**
 * A player of the video, from `position_s` on. `onWatch` is called now and then, and at the end, with
 * `{ watch_id, watched_s, duration_s, position_s }`; `onEnd` once it has been played to its end.
 */
export function player(video, { poster, position_s = 0, onWatch, onEnd }) {
  const made = element("video", {
    className: "player", src: video.url, controls: true, preload: "metadata", playsInline: true,
    ...(poster && { poster }), "aria-label": video.title ?? "Video",
  });
  const watchId = makeId();
  let watched = 0, before = null, told = 0, toldAt = 0;
  const tell = () => {
    if (watched <= told) return;
    [told, toldAt] = [watched, Date.now()];
    onWatch({
      watch_id: watchId, watched_s: Math.round(watched * 10) / 10, position_s: made.currentTime,
      ...(Number.isFinite(made.duration) && { duration_s: made.duration }),
    });
  };
  made.addEventListener("loadedmetadata", () => {
    if (position_s < made.duration) made.currentTime = position_s;
  }, { once: true });
  made.addEventListener("timeupdate", () => {
    const step = made.currentTime - (before ?? made.currentTime);
    before = made.currentTime;
    if (step > 0 && step < LARGEST_STEP_S && !made.seeking) watched += step;
    if (Date.now() - toldAt > BEAT_MS) tell();
  });
  made.addEventListener("pause", tell);
  made.addEventListener("ended", () => {
    tell();
    onEnd();
  });
  return made;
}
