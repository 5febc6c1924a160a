// @ts-check
/**
 * A client of TwinLens's HTTP API: no dependencies, no build step, for browsers and Node 20.
 *
 *     import { TwinLens, pages } from "/static/client.js";
 *
 *     const twinlens = new TwinLens();
 *     const { hits } = await twinlens.search({ text: "cricket final", limit: 5 });
 *
 * Types stand in client.d.ts. What a field means stands in docs/api.md: what you give is sent as
 * it is, and what comes back is the server's JSON, untouched.
 */

/** @typedef {import("./client.js").TwinLensOptions} TwinLensOptions */
/** @typedef {import("./client.js").CallOptions} CallOptions */
/** @typedef {import("./client.js").Video} Video */
/** @typedef {import("./client.js").FieldError} FieldError */

const API_ROOT = "/api/v1";
// Of events: so many are sent before their time, with one request (keepalive takes 64 kB), and kept
// while the server is away.
const MOST_WAITING = 20;
const MOST_AT_ONCE = 100;
const MOST_KEPT = 1000;

/** How wide a thumbnail can be asked for, narrow ones first. */
export const THUMBNAIL_WIDTHS = /** @type {const} */ ([160, 320, 480, 640, 960]);

/** An id that nobody has given before. (`crypto.randomUUID` is there over HTTPS alone.) */
export const makeId = () => Array.from(
  crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0"),
).join("");

/** An answer that is not a success, or none at all; `code` never changes, the message may. */
export class TwinLensError extends Error {
  /**
   * @param {string} message
   * @param {import("./client.js").TwinLensErrorDetails} details
   */
  constructor(message, { code, status = 0, requestId = null, errors = [], retryAfter = null, cause }) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "TwinLensError";
    /** @type {string} */
    this.code = code;
    /** @type {number} */
    this.status = status;
    /** @type {string | null} */
    this.requestId = requestId;
    /** @type {FieldError[]} */
    this.errors = errors;
    /** @type {number | null} */
    this.retryAfter = retryAfter;
  }
}

/**
 * Every page of an answer, one after another, until the last or until you leave the loop:
 *
 *     for await (const page of pages((cursor) => twinlens.search({ text: "tea", cursor }))) …
 *
 * @template {{ next_cursor: string | null }} Answer
 * @param {(cursor: string | undefined) => Promise<Answer>} ask
 * @returns {AsyncGenerator<Answer, void, void>}
 */
export async function* pages(ask) {
  /** @type {string | undefined} */
  let cursor;
  do {
    const answer = await ask(cursor);
    yield answer;
    cursor = answer.next_cursor ?? undefined;
  } while (cursor !== undefined);
}

/** The API of one server. */
export class TwinLens {
  #root;
  #headers;
  #fetch;

  /** @param {TwinLensOptions} [options] */
  constructor(options = {}) {
    const { baseUrl = "", apiKey, fetch = globalThis.fetch } = options;
    this.#root = baseUrl.replace(/\/+$/, "");
    /** @type {Record<string, string>} */
    this.#headers = apiKey ? { Authorization: `Bearer ${apiKey}` } : {};
    // A browser's fetch insists on being called as the window's.
    this.#fetch = fetch === globalThis.fetch ? fetch.bind(globalThis) : fetch;
  }

  /**
   * Videos for words, a picture, a video, or several of these.
   * @param {import("./client.js").SearchFields} fields
   * @param {CallOptions} [options]
   * @returns {Promise<import("./client.js").SearchAnswer>}
   */
  search({ image, ...fields }, options) {
    if (image === undefined || image === null || typeof image === "string") {
      return this.#post("/search", { image: image ?? undefined, ...fields }, options);
    }
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) {
      if (value !== undefined && value !== null) form.append(name, asText(value));
    }
    form.append("image", image, "picture");
    return this.#call("/search", { method: "POST", body: form }, options);
  }

  /**
   * Videos of the catalogue, filtered, in an order or at random.
   * @param {import("./client.js").BrowseFields} [fields]
   * @param {CallOptions} [options]
   * @returns {Promise<import("./client.js").BrowseAnswer>}
   */
  browse(fields = {}, options) {
    return this.#call(`/videos${query(fields)}`, {}, options);
  }

  /**
   * One video.
   * @param {string} videoId
   * @param {CallOptions} [options]
   * @returns {Promise<import("./client.js").VideoAnswer>}
   */
  video(videoId, options) {
    return this.#call(videoPath(videoId), {}, options);
  }

  /**
   * Several videos by their ids, at most 100; `missing` names those that are gone.
   * @param {string[]} videoIds
   * @param {import("./client.js").LookupFields} [fields]
   * @param {CallOptions} [options]
   * @returns {Promise<import("./client.js").LookupAnswer>}
   */
  lookup(videoIds, fields = {}, options) {
    return this.#post("/lookup", { video_ids: videoIds, ...fields }, options);
  }

  /**
   * "You may also like": videos like this one.
   * @param {string} videoId
   * @param {import("./client.js").SimilarFields} [fields]
   * @param {CallOptions} [options]
   * @returns {Promise<import("./client.js").SearchAnswer>}
   */
  similar(videoId, fields = {}, options) {
    return this.#call(`${videoPath(videoId)}/similar${query(fields)}`, {}, options);
  }

  /**
   * Videos for someone who liked some videos, and perhaps disliked others.
   * @param {import("./client.js").RecommendFields} fields
   * @param {CallOptions} [options]
   * @returns {Promise<import("./client.js").SearchAnswer>}
   */
  recommend(fields, options) {
    return this.#post("/recommendations", fields, options);
  }

  /**
   * What to watch next, for a stored person or for who has done `events`.
   * @param {import("./client.js").FeedFields} [fields]
   * @param {CallOptions} [options]
   * @returns {Promise<import("./client.js").FeedAnswer>}
   */
  feed(fields = {}, options) {
    return this.#post("/feed", fields, options);
  }

  /**
   * Tell the server what was shown, watched and said; an `EventSender` does so by itself. With
   * `keepalive` the request outlives its page, and may have 64 kB.
   * @param {import("./client.js").EventFields[]} events
   * @param {CallOptions & { keepalive?: boolean }} options
   * @returns {Promise<import("./client.js").EventsAnswer>}
   */
  sendEvents(events, { keepalive, ...options } = {}) {
    const body = JSON.stringify({ sent_at: new Date().toISOString(), events });
    const headers = { "Content-Type": "application/json" };
    return this.#call("/events", { method: "POST", headers, body, keepalive: Boolean(keepalive) }, options);
  }

  /**
   * Several searches in one request, apart or fused into one list.
   * @param {any} fields
   * @param {CallOptions} [options]
   * @returns {Promise<any>} client.d.ts tells of what
   */
  multiSearch(fields, options) {
    return this.#post("/multi-search", fields, options);
  }

  /**
   * What is published: the generation, counts, encoders.
   * @param {CallOptions} [options]
   * @returns {Promise<import("./client.js").StatsAnswer>}
   */
  stats(options) {
    return this.#call("/stats", {}, options);
  }

  /**
   * Where a video's thumbnail is, or null where it has none, or `attributes` left its address out;
   * an id is taken at its word.
   * @param {string | Partial<Pick<Video, "thumbnail_url">>} video
   * @param {import("./client.js").ThumbnailFields} [fields]
   * @returns {any} client.d.ts tells which
   */
  thumbnailUrl(video, fields = {}) {
    const path = typeof video === "string"
      ? `${API_ROOT}${videoPath(video)}/thumbnail` : video.thumbnail_url;
    // The server's own prefix is part of the base.
    if (!path) return null;
    return this.#root + path.slice(path.lastIndexOf(API_ROOT)) + query({ w: fields.width });
  }

  /**
   * A video's thumbnail itself: for servers that ask for a key, which an `<img>` can't send.
   * @param {string} videoId
   * @param {import("./client.js").ThumbnailFields} [fields]
   * @param {CallOptions} [options]
   * @returns {Promise<Blob>}
   */
  async thumbnail(videoId, fields = {}, options) {
    const path = `${videoPath(videoId)}/thumbnail${query({ w: fields.width })}`;
    const response = await this.#send(path, {}, options);
    try {
      return await response.blob();
    } catch (cause) {
      throw aborted(options) ?? cutOff(response, cause);
    }
  }

  /**
   * @param {string} path
   * @param {object} fields
   * @param {CallOptions} [options]
   */
  #post(path, fields, options) {
    const headers = { "Content-Type": "application/json" };
    return this.#call(path, { method: "POST", headers, body: JSON.stringify(fields) }, options);
  }

  /**
   * @param {string} path
   * @param {RequestInit} init
   * @param {CallOptions} [options]
   */
  async #call(path, init, options) {
    const response = await this.#send(path, init, options);
    try {
      return await response.json();
    } catch (cause) {
      // What came whole and is no JSON is a SyntaxError; anything else is a lost connection.
      throw aborted(options)
        ?? (cause instanceof SyntaxError ? unexpected(response, cause) : cutOff(response, cause));
    }
  }

  /**
   * @param {string} path
   * @param {RequestInit} init
   * @param {CallOptions} [options]
   * @returns {Promise<Response>} of success
   */
  async #send(path, init, options) {
    /** @type {HeadersInit} */
    const headers = Object.assign({}, this.#headers, init.headers);
    let response;
    try {
      response = await this.#fetch(this.#root + API_ROOT + path, {
        ...init, headers, signal: options?.signal ?? null,
      });
    } catch (cause) {
      throw aborted(options)
        ?? new TwinLensError("the server can't be reached", { code: "network_error", cause });
    }
    if (!response.ok) {
      const failed = await problem(response);
      throw aborted(options) ?? failed;
    }
    return response;
  }
}

/**
 * Sends events of one person in batches: after a while, when many wait, and when the page is left.
 *
 *     const sender = new EventSender(twinlens, { personId: "p1" });
 *     sender.add({ type: "watch", video_id: "v1", watch_id: "w1", watched_s: 12.5 });
 *
 * What could not be sent is sent with the next batch; the same event twice counts once.
 */
export class EventSender {
  #twinlens;
  #personId;
  #afterMs;
  /** @type {Map<string, import("./client.js").EventFields>} */
  #waiting = new Map();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #leaving = () => {
    if (document.visibilityState === "hidden") this.flush({ keepalive: true });
  };

  /**
   * @param {TwinLens} twinlens
   * @param {import("./client.js").EventSenderOptions} options
   */
  constructor(twinlens, { personId, afterMs = 5000 }) {
    this.#twinlens = twinlens;
    this.#personId = personId;
    this.#afterMs = afterMs;
    globalThis.document?.addEventListener("visibilitychange", this.#leaving);
  }

  /**
   * Send this soon. An event with neither `event_id` nor `at` gets them now; of a watch's heartbeats
   * only the last one waits.
   * @param {Omit<import("./client.js").EventFields, "event_id"> & { event_id?: string }} event
   */
  add(event) {
    const whole = {
      event_id: makeId(), at: new Date().toISOString(), person_id: this.#personId, ...event,
    };
    this.#waiting.set(whole.watch_id ?? whole.event_id, whole);
    if (this.#waiting.size >= MOST_WAITING) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), this.#afterMs);
  }

  /**
   * Send what waits.
   * @param {{ keepalive?: boolean }} [options]
   */
  async flush(options) {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const sent = [...this.#waiting].slice(0, MOST_AT_ONCE);
    if (sent.length === 0) return;
    for (const [key] of sent) this.#waiting.delete(key);
    try {
      await this.#twinlens.sendEvents(sent.map(([, event]) => event), options);
    } catch (error) {
      // What the server refuses it would refuse again; anything else is tried with the next batch.
      if (error instanceof TwinLensError && error.status >= 400 && error.status < 429) return;
      this.#waiting = new Map([...sent, ...this.#waiting].slice(-MOST_KEPT));
    }
  }

  /** Send what waits, and no more by itself. */
  close() {
    globalThis.document?.removeEventListener("visibilitychange", this.#leaving);
    return this.flush({ keepalive: true });
  }
}

/** @param {string} videoId */
const videoPath = (videoId) => `/videos/${encodeURIComponent(videoId)}`;

/**
 * Text for a query string or a form: lists by commas, objects and lists of them as JSON.
 * @param {unknown} value
 */
function asText(value) {
  if (Array.isArray(value) && typeof value[0] !== "object") return value.join(",");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** @param {object} fields */
function query(fields) {
  const given = Object.entries(fields).filter(([, value]) => value !== undefined && value !== null);
  const parameters = new URLSearchParams(given.map(([name, value]) => [name, asText(value)]));
  return given.length ? `?${parameters}` : "";
}

/**
 * What was given as the reason when the caller stopped the request, so that it is told apart.
 * @param {CallOptions} [options]
 */
const aborted = (options) => (options?.signal?.aborted ? options.signal.reason : undefined);

/**
 * @param {Response} response
 * @param {unknown} [cause]
 */
const unexpected = (response, cause) => new TwinLensError(
  `the server answered ${response.status}, and not as its API does`,
  {
    code: "unexpected_answer", status: response.status,
    requestId: response.headers.get("X-Request-Id"), retryAfter: retryAfter(response), cause,
  },
);

/**
 * The answer began, and its end never came.
 * @param {Response} response
 * @param {unknown} cause
 */
const cutOff = (response, cause) => new TwinLensError("the connection was lost during the answer", {
  code: "network_error", status: response.status, requestId: response.headers.get("X-Request-Id"), cause,
});

/**
 * Seconds until it is worth trying again, where the server says so.
 * @param {Response} response
 */
function retryAfter(response) {
  const given = response.headers.get("Retry-After");
  return given !== null && /^\d+$/.test(given) ? Number(given) : null;
}

/**
 * The error that a problem document (RFC 9457) describes.
 * @param {Response} response
 */
async function problem(response) {
  let body;
  try {
    body = await response.json();
  } catch (cause) {
    return cause instanceof SyntaxError ? unexpected(response, cause) : cutOff(response, cause);
  }
  if (typeof body?.code !== "string") return unexpected(response);
  return new TwinLensError(body.detail ?? body.title ?? body.code, {
    code: body.code,
    status: response.status,
    requestId: body.request_id ?? response.headers.get("X-Request-Id"),
    errors: body.errors ?? [],
    retryAfter: retryAfter(response),
  });
}
