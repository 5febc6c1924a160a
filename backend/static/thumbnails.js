// The pictures of videos: by their address, or fetched as they come into view where a key is needed.

import { THUMBNAIL_WIDTHS } from "./client.js";

const USUAL_WIDTH = 640;
// A picture is fetched when it is this near to the window.
const AHEAD = "300px";

/** A function `(image, video, sizes)` that has an `<img>` show a thumbnail, `sizes` wide as in CSS. */
export const thumbnailsOf = (twinlens, { keyed }) => (keyed ? fetched(twinlens) : linked(twinlens));

const linked = (twinlens) => (image, video, sizes) => {
  const address = (width) => twinlens.thumbnailUrl(video, { width });
  image.sizes = sizes;
  image.srcset = THUMBNAIL_WIDTHS.map((width) => `${address(width)} ${width}w`).join(", ");
  image.src = address(USUAL_WIDTH);
};

/** An `<img>` can't send a key: a picture is fetched, and shown from memory. */
function fetched(twinlens) {
  const asked = new WeakMap();
  const near = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting, boundingClientRect } of entries) {
      // Out of view or out of the page, it is needed no more; back in view, what failed is asked again.
      asked.get(target).stop?.abort();
      if (isIntersecting) load(target, boundingClientRect.width * devicePixelRatio);
    }
  }, { rootMargin: AHEAD });

  async function load(image, wide) {
    const width = THUMBNAIL_WIDTHS.find((one) => one >= wide) ?? THUMBNAIL_WIDTHS.at(-1);
    const one = asked.get(image);
    const { signal } = one.stop = new AbortController();
    try {
      const address = URL.createObjectURL(await twinlens.thumbnail(one.videoId, { width }, { signal }));
      const forget = () => URL.revokeObjectURL(address);
      image.addEventListener("load", forget, { once: true });
      image.addEventListener("error", forget, { once: true });
      image.src = address;
      near.unobserve(image);
    } catch {
      if (!signal.aborted) image.dispatchEvent(new Event("error"));
    }
  }

  return (image, video) => {
    // A lazy image that leaves the page first never loads, and so would never let go of its memory.
    image.loading = "eager";
    asked.set(image, { videoId: video.video_id });
    near.observe(image);
  };
}
