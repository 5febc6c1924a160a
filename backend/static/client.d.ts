/** Types of client.js. What each field means stands in docs/api.md. */

export interface TwinLensOptions {
  /** Where the server is, `https://videos.example`; by default the page's own. */
  baseUrl?: string;
  /** Sent as `Authorization: Bearer …`. */
  apiKey?: string;
  /** Used in the place of the global one. */
  fetch?: typeof globalThis.fetch;
}

export interface CallOptions {
  /** Stops the request; the call then throws the signal's reason, not a `TwinLensError`. */
  signal?: AbortSignal;
}

// ---- fields
export interface Video {
  video_id: string;
  /** Its title. */
  title: string | null;
  /** Its channel. */
  channel: string | null;
  /** Its category. */
  category: string | null;
  /** The language of its title, as a code. */
  language: string | null;
  /** Its tags. */
  tags: string[];
  /** When it was published. RFC 3339 with an offset; in a filter also a date. */
  published_at: string | null;
  /** How long it is, in seconds. */
  duration_s: number | null;
  /** How often it was seen. */
  view_count: number | null;
  /** Where it can be watched. */
  url: string | null;
  /** How often it was liked. */
  like_count: number | null;
  /** The id of its channel. */
  channel_id: string | null;
  /** The playlist or series that it belongs to. */
  playlist: string | null;
  /** The titles of its chapters. */
  chapters: string[];
  /** Where a player for other pages is. */
  embed_url: string | null;
  /** A path on the server; `thumbnailUrl()` makes an address of it. */
  thumbnail_url: string | null;
}

export type CountedFacet = "channel" | "category" | "language" | "tags" | "playlist";
export type RangedFacet = "published_at" | "duration_s" | "view_count";
export type SortedField = "published_at" | "view_count" | "like_count" | "duration_s";

/** Everything given holds together; of a list, one value is enough. */
export interface Filter {
  /** Its channel. */
  channel?: string | string[];
  /** Its category. */
  category?: string | string[];
  /** The language of its title, as a code. */
  language?: string | string[];
  /** Its tags. */
  tags?: string | string[];
  /** When it was published. RFC 3339 with an offset; in a filter also a date. */
  published_at?: Bounds<string>;
  /** How long it is, in seconds. */
  duration_s?: number | Bounds<number>;
  /** How often it was seen. */
  view_count?: number | Bounds<number>;
  /** How often it was liked. */
  like_count?: number | Bounds<number>;
  /** The id of its channel. */
  channel_id?: string | string[];
  /** The playlist or series that it belongs to. */
  playlist?: string | string[];
  /** Whether it has a picture. */
  has_thumbnail?: boolean;
  and?: Filter[];
  or?: Filter[];
  not?: Filter;
}

export interface Facets extends
  Partial<Record<CountedFacet, { values: { value: string; count: number }[] }>> {
  published_at?: { min: string | null; max: string | null };
  duration_s?: { min: number | null; max: number | null };
  view_count?: { min: number | null; max: number | null };
}

export type Lens = "title" | "words" | "thumbnail";
// ---- end of fields

/** Without `attributes`, all of them are there. */
export type ShownVideo = Pick<Video, "video_id"> & Partial<Video>;

export type Attribute = keyof Video;
export type Facet = CountedFacet | RangedFacet;

export interface Bounds<T> {
  gt?: T;
  gte?: T;
  lt?: T;
  lte?: T;
}

interface PageFields {
  limit?: number;
  cursor?: string;
  filter?: Filter;
  facets?: Facet[];
  /** Of these facets only the values whose words begin so. */
  facet_query?: Partial<Record<CountedFacet, string>>;
  attributes?: Attribute[];
}

interface DisjunctiveFields {
  /** Count a facet as if the filter had no condition on its own field. */
  disjunctive_facets?: boolean;
}

/** A number counts by its logarithm, a moment by `half_life_days`, a keyword by `value`. */
export interface Boost {
  field: keyof Video;
  weight?: number;
  half_life_days?: number;
  value?: string;
}

interface RankingFields extends PageFields {
  weights?: Partial<Record<Lens, number>>;
  rrf_k?: number;
  window?: number;
  explain?: boolean;
  diversity?: number;
  collapse_duplicates?: boolean;
  /** Ids of videos that are no hits, at most 1,000. */
  exclude?: string[];
  boost?: Boost[];
  sort?: `${SortedField}:${"asc" | "desc"}`;
  max_per_channel?: number;
}

interface LearnedFields extends RankingFields {
  /** The share of what the trained model finds, where one is published. */
  learned_weight?: number;
}

export type SimilarFields = LearnedFields & DisjunctiveFields;

export interface SearchFields extends RankingFields, DisjunctiveFields {
  text?: string;
  /** A picture: a `Blob` or `File` (sent as multipart), or base64. */
  image?: Blob | string;
  video_id?: string;
  expand?: number;
  highlight?: boolean;
  /** Leave out hits that match the text less; `match_floor` of an answer is a good one. */
  min_match?: number;
}

export interface RecommendFields extends LearnedFields {
  liked: string[];
  disliked?: string[];
}

/** A picture can be in one search of several as base64 only. */
export interface OneSearch extends Omit<SearchFields, "image"> {
  image?: string;
}

/** Of a fused search, what concerns the page stands beside the searches, not in them. */
type OfThePage = "limit" | "cursor" | "rrf_k" | "diversity" | "collapse_duplicates" | "explain"
  | "attributes" | "facets" | "facet_query" | "highlight" | "exclude" | "boost" | "sort"
  | "max_per_channel";

export interface FusedFields extends Pick<SearchFields, OfThePage> {
  searches: (Omit<OneSearch, OfThePage | "disjunctive_facets"> & { weight?: number })[];
  fuse: true;
}

export interface SuggestFields {
  limit?: number;
}

export interface BrowseFields extends PageFields, DisjunctiveFields {
  sort?: `${SortedField}:${"asc" | "desc"}`;
  order?: "random";
  seed?: number;
}

/** How wide a thumbnail can be asked for, narrow ones first. */
export const THUMBNAIL_WIDTHS: readonly [160, 320, 480, 640, 960];

export interface ThumbnailFields {
  /** At most so wide; by default as it was indexed. */
  width?: (typeof THUMBNAIL_WIDTHS)[number];
}

export interface Source {
  rank: number;
  score: number;
}

export interface HighlightPart {
  text: string;
  matched: boolean;
}

/** A name of the channel, the tags or the category, in parts. */
export interface MatchedLabel {
  field: "channel" | "tags" | "category";
  parts: HighlightPart[];
}

export interface Hit {
  video: ShownVideo;
  score: number;
  rank: number;
  /** In searches: how surely it is what the text means, 0 to 1; null where more was asked. */
  match?: number | null;
  /** With `explain`. */
  sources?: Record<Lens, Source | null> & { learned?: Source | null };
  /** With `highlight`: the title in parts; null without a text or a title. */
  highlight?: { title: HighlightPart[]; labels: MatchedLabel[] } | null;
  /** With `collapse_duplicates`: the ids of the re-uploads folded into this hit. */
  duplicates?: string[];
  /** Of recommendations with `explain`: the liked videos that recommend it most. */
  because?: string[];
  /** Of a fused search: the searches that found it, from 0, and its rank in each. */
  found_by?: { search: number; rank: number }[];
  /** With `explain`: whether a rule of the operator puts it first. */
  pinned?: boolean;
  /** With `explain`: what has raised its score, by which share. */
  boosts?: { field: string; share: number }[];
}

interface Answer {
  took_ms: number;
  timings_ms: Record<string, number>;
  query_id: string;
  generation: string;
}

export interface SearchAnswer extends Answer {
  hits: Hit[];
  /** With the first page: the channels that the text names. */
  channels?: { name: string; videos: number }[];
  next_cursor: string | null;
  window: number;
  /** How many hits all pages have; the first 1,000 are counted. */
  total: number;
  /** `at_least`: there are more than 1,000, or a larger `window` may find more. */
  total_relation: "exact" | "at_least";
  /** In searches: the `match` below which hits are seldom what is meant. */
  match_floor?: number | null;
  /** With `explain`. */
  borrowed_from?: string[];
  /** With `explain`. */
  words_coverage?: number | null;
  /** With `explain`: the texts that synonyms made of this one. */
  also_asked?: string[];
  /** With `facets`. */
  facets?: Facets;
  /** In `similar` and `recommend`: the trained model that took part. */
  model?: string;
  fallback?: string[];
  /** In `recommend`: the ids given that are not in this index. */
  missing?: string[];
}

export interface Suggestion {
  kind: "title" | "channel" | "tag";
  text: string;
  /** Of a title: the video. */
  video_id: string | null;
  /** A path on the server; `thumbnailUrl()` makes an address of it. */
  thumbnail_url: string | null;
  /** Of a channel or a tag: how many there are. */
  videos: number | null;
}

export interface SuggestAnswer extends Omit<Answer, "timings_ms"> {
  suggestions: Suggestion[];
  /** What was typed, with its unknown words replaced by known ones. */
  did_you_mean: string | null;
}

export interface BrowseAnswer extends Answer {
  videos: ShownVideo[];
  next_cursor: string | null;
  /** How many videos pass the filter. */
  total: number;
  /** Of a random order: give it again for the same one. */
  seed: number | null;
  facets?: Facets;
}

/** A problem document, RFC 9457. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  code: string;
  detail: string;
  request_id: string;
  errors?: FieldError[];
}

/** Several searches, fused. */
export interface FusedAnswer extends Omit<SearchAnswer, "hits"> {
  hits: (Hit & Required<Pick<Hit, "found_by">>)[];
}

export interface MultiSearchAnswer extends Answer {
  results: (SearchAnswer | { problem: Problem })[];
}

export interface VideoAnswer {
  video: Video;
  generation: string;
}

export interface LookupFields {
  attributes?: Attribute[];
}

export interface LookupAnswer {
  /** In the order of their ids. */
  videos: ShownVideo[];
  /** The ids of those that are not in this index. */
  missing: string[];
  generation: string;
}

export interface StatsAnswer {
  generation: string;
  created_at: string;
  engine: string;
  counts: Record<string, number>;
  encoders: Record<string, { name: string; fingerprint: string; dim: number }>;
  versions: Record<string, string>;
  /** The trained model; null where none is published. */
  recommender: {
    model: string | null;
    trained_at: string | null;
    age_s: number | null;
    trained_on: Record<string, number>;
    evaluation: {
      protocol: string;
      people: number;
      figures: Record<string, Record<string, number>>;
    } | null;
    feeds: Record<string, number>;
  } | null;
}

export type EventType =
  | "watch" | "impression" | "click" | "search" | "like" | "dislike" | "not_interested" | "undo";

/** What somebody did, or was shown; docs/api.md says which types need which fields. */
export interface EventFields {
  type: EventType;
  event_id: string;
  person_id?: string;
  /** RFC 3339; the moment of arrival where it isn't given. */
  at?: string;
  video_id?: string;
  watch_id?: string;
  watched_s?: number;
  duration_s?: number;
  query_id?: string;
  feed_id?: string;
  position?: number;
  seen?: boolean;
  surface?: string;
  text?: string;
  undoes?: string;
  region?: string;
  device?: string;
  language?: string;
}

export interface EventsAnswer {
  accepted: number;
  known: number;
  not_kept: number;
  rejected: { index: number; code: string; field: string | null; message: string }[];
}

export interface FeedFields {
  /** A person whose events the server keeps; or `events`, of which it keeps nothing. */
  person_id?: string;
  events?: EventFields[];
  limit?: number;
  cursor?: string;
  filter?: Filter;
  surface?: "home" | "related";
  seed_video_id?: string;
  exclude?: string[];
  context?: Partial<Record<"region" | "device" | "language" | "gender", string>> & { age?: number; logged_in?: boolean };
  diversity?: number;
  explain?: boolean;
  log_impressions?: boolean;
  attributes?: Attribute[];
}

export interface FeedHit {
  video: ShownVideo;
  rank: number;
  score: number;
  /** Seconds; null without a ranker that predicts them. */
  expected_watch_s: number | null;
  /** How often it was shown before and not watched. */
  shown_before: number;
  chance: number | null;
  /** With `explain`: watched videos by which it was found, and the sources that found it. */
  because?: string[];
  sources?: Record<string, Source>;
}

export interface FeedAnswer extends Answer {
  hits: FeedHit[];
  next_cursor: string | null;
  feed_id: string;
  model: string | null;
  fallback: string[];
}

export interface EventSenderOptions {
  personId: string;
  /** How long events wait for others before they are sent. */
  afterMs?: number;
}

export interface FieldError {
  /** By its path: `filter.view_count.gte`. */
  field: string;
  message: string;
  /** What would be right, where it can be said. */
  expected?: string;
}

export interface TwinLensErrorDetails {
  code: string;
  status?: number;
  requestId?: string | null;
  errors?: FieldError[];
  retryAfter?: number | null;
  cause?: unknown;
}

/** An answer that is not a success, or none at all. */
export class TwinLensError extends Error {
  constructor(message: string, details: TwinLensErrorDetails);
  /**
   * Of the server, as docs/api.md lists them; or the client's own: `network_error` (no answer, or only a part) and
   * `unexpected_answer` (not the API's, a proxy's perhaps).
   */
  code: string;
  /** The HTTP status; 0 where no answer began. */
  status: number;
  requestId: string | null;
  /** The fields at fault. */
  errors: FieldError[];
  /** Seconds until it is worth trying again, where the server says so. */
  retryAfter: number | null;
}

/** Every page of an answer; `ask` is called with the cursor of each. */
export function pages<A extends { next_cursor: string | null }>(
  ask: (cursor: string | undefined) => Promise<A>,
): AsyncGenerator<A, void, void>;

/** An id that nobody has given before, as for events. */
export function makeId(): string;

/** Sends events of one person in batches, and what waits when the page is left. */
export class EventSender {
  constructor(twinlens: TwinLens, options: EventSenderOptions);
  /** Send this soon; an event with neither `event_id` nor `at` gets them now. */
  add(event: Omit<EventFields, "event_id"> & { event_id?: string }): void;
  /** Send what waits. */
  flush(options?: { keepalive?: boolean }): Promise<void>;
  /** Send what waits, and no more by itself. */
  close(): Promise<void>;
}

/** The API of one server. */
export class TwinLens {
  constructor(options?: TwinLensOptions);
  /** Videos for words, a picture, a video, or several of these. */
  search(fields: SearchFields, options?: CallOptions): Promise<SearchAnswer>;
  /** What may be meant by what somebody has typed so far: titles, channels, tags. */
  suggest(typed: string, fields?: SuggestFields, options?: CallOptions): Promise<SuggestAnswer>;
  /** Videos of the catalogue, filtered, in an order or at random. */
  browse(fields?: BrowseFields, options?: CallOptions): Promise<BrowseAnswer>;
  /** One video. */
  video(videoId: string, options?: CallOptions): Promise<VideoAnswer>;
  /** Several videos by their ids, at most 100; `missing` names those that are gone. */
  lookup(videoIds: string[], fields?: LookupFields, options?: CallOptions): Promise<LookupAnswer>;
  /** "You may also like": videos like this one. */
  similar(videoId: string, fields?: SimilarFields, options?: CallOptions): Promise<SearchAnswer>;
  /** What to watch next, for a stored person or for who has done `events`. */
  feed(fields?: FeedFields, options?: CallOptions): Promise<FeedAnswer>;
  /** Tell the server what was shown, watched and said. */
  sendEvents(events: EventFields[], options?: CallOptions & { keepalive?: boolean }): Promise<EventsAnswer>;
  /** Videos for someone who liked some videos, and perhaps disliked others. */
  recommend(fields: RecommendFields, options?: CallOptions): Promise<SearchAnswer>;
  /** Several searches in one request, fused into one list. */
  multiSearch(fields: FusedFields, options?: CallOptions): Promise<FusedAnswer>;
  /** Several searches in one request, apart. */
  multiSearch(
    fields: { searches: OneSearch[]; fuse?: false },
    options?: CallOptions,
  ): Promise<MultiSearchAnswer>;
  /** What is published: the generation, counts, encoders. */
  stats(options?: CallOptions): Promise<StatsAnswer>;
  /**
   * Where a video's thumbnail is, or null where it has none, or `attributes` left its address out;
   * an id is taken at its word.
   */
  thumbnailUrl(video: string, fields?: ThumbnailFields): string;
  thumbnailUrl(video: Partial<Pick<Video, "thumbnail_url">>, fields?: ThumbnailFields): string | null;
  /** A video's thumbnail itself: for servers that ask for a key, which an `<img>` can't send. */
  thumbnail(videoId: string, fields?: ThumbnailFields, options?: CallOptions): Promise<Blob>;
}
