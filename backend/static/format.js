// Numbers, dates and languages as people read them.

const whole = new Intl.NumberFormat("en");
const compact = new Intl.NumberFormat("en", { notation: "compact" });
const day = new Intl.DateTimeFormat("en", { dateStyle: "long", timeZone: "UTC" });
const ago = new Intl.RelativeTimeFormat("en", { numeric: "always" });
const languages = new Intl.DisplayNames("en", { type: "language", fallback: "code" });

export const count = (number) => whole.format(number);
/** "12K" */
export const few = (number) => compact.format(number);
export const date = (moment) => day.format(new Date(moment));

/** "18 ms", "1.4 s" */
export const took = (ms) =>
  (ms < 1000 ? `${Math.max(1, Math.round(ms))} ms` : `${(ms / 1000).toFixed(1)} s`);

/** 0:07, 12:05, 1:02:03 */
export function clock(seconds) {
  const all = Math.round(seconds);
  const [hours, minutes, rest] = [Math.floor(all / 3600), Math.floor(all / 60) % 60, all % 60];
  const two = (number) => String(number).padStart(2, "0");
  return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/** "3 years ago"; a moment to come as its date. */
export function since(moment, now = Date.now()) {
  const days = Math.floor((now - new Date(moment).getTime()) / 86_400_000);
  if (days < 0) return date(moment);
  if (days < 1) return "today";
  for (const [unit, length] of [["year", 365], ["month", 30], ["week", 7], ["day", 1]]) {
    if (days >= length) return ago.format(-Math.floor(days / length), unit);
  }
}

/** "Sinhala" for si; what is no language's code stays as it is. */
export function language(code) {
  try {
    return languages.of(code);
  } catch {
    return code;
  }
}

const SCRIPTS = [
  ["si", /\p{Script=Sinhala}/u], ["ta", /\p{Script=Tamil}/u], ["hi", /\p{Script=Devanagari}/u],
  ["bn", /\p{Script=Bengali}/u], ["ar", /\p{Script=Arabic}/u], ["th", /\p{Script=Thai}/u],
  ["ja", /[\p{Script=Hiragana}\p{Script=Katakana}]/u], ["ko", /\p{Script=Hangul}/u],
  ["zh", /\p{Script=Han}/u],
];

/**
 * The language to read a text in: that of its script where the script tells, else the one given.
 * A Sinhala title may well stand in a video whose language is said to be English.
 */
export function languageOf(text, given) {
  const known = given ?? "";
  for (const [code, script] of SCRIPTS) {
    if (script.test(text)) {
      const own = known.toLowerCase().split("-")[0];
      const shares = { hi: ["mr", "ne", "sa"], bn: ["as"], ar: ["fa", "ur", "ps"], zh: ["ja", "yue"] };
      return own === code || shares[code]?.includes(own) ? known : code;
    }
  }
  return known;
}
