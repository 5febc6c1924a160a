"""What the ranker sees of a person and a video at a moment: one function, to train and to serve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from twinlens.catalog.vectors import FloatMatrix
from twinlens.events.event import EventType
from twinlens.recommender.histories import (
    ENDED,
    UNTIMED,
    Floats,
    Histories,
    Ints,
    KeyIndex,
    Track,
    sum_spans,
)
from twinlens.recommender.impressions import Impressions
from twinlens.recommender.videos import VideoTable
from twinlens.recommender.vocabularies import Vocabulary

# A video's first tags, and a person's latest watches, that are looked at.
TAGS: Final = 5
WATCHED: Final = 10
# Of how many of the latest watches contents are compared with a video's.
SIMILAR_TO: Final = 5
# What goes before a rate's own counts: so many impressions or watches at the rate of all videos.
_PRIOR: Final = 20.0
_CHUNK: Final = 4096
_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS

# What is known of the length of a watch, and of which amount that is the mean, in thousandths.
LENGTHS: Final = (("s", "watched_ms"), ("share", "watched_permille"))
# What is counted of each video.
COUNTED: Final = (
    *("impressions", "clicks", "recent_impressions", "recent_clicks"),
    *("watches", "watched_ms", "measured", "watched_permille"),
)


class Field(NamedTuple):
    """An input of ids: ``width`` codes of a ``space``, whose embeddings are averaged."""

    name: str
    space: str
    width: int = 1


# Fields of one space share a table of embeddings.
FIELDS: Final = (
    Field("video", "video"),
    Field("last_watched", "video"),
    Field("watched", "video", WATCHED),
    Field("channel", "channel"),
    Field("last_channel", "channel"),
    Field("tags", "tag", TAGS),
    Field("category", "category"),
    Field("video_language", "language"),
    Field("language", "language"),
    Field("region", "region"),
    Field("device", "device"),
    Field("surface", "surface"),
)


class Contents:
    """What features need of a catalogue, by row; the last row is of a video that it lacks."""

    def __init__(
        self, videos: VideoTable, vocabularies: Mapping[str, Vocabulary], lenses: Sequence[str] = ()
    ) -> None:
        self.video_ids, self.rows = videos.video_ids, videos.rows
        self.durations_s = np.append(videos.durations_s, np.nan)
        self.published_ms = np.append(videos.published_at, np.nan) * 1e3
        self.vectors = {lens: videos.vectors.get(lens) for lens in lenses}
        self.vocabularies = vocabularies
        tags = [list(tags[:TAGS]) for tags in videos.tags]
        # Keys of all channels and tags, so that histories are counted by the rare ones, too.
        self.channels = _number(videos.channels)
        padded = np.full((len(tags) + 1, TAGS), -1, dtype=np.int64)
        flat = _number([tag for of_video in tags for tag in of_video])[:-1]
        sizes = np.array([len(of_video) for of_video in tags], dtype=np.int64)
        filled = np.arange(TAGS) < np.append(sizes, 0)[:, None]
        padded[filled] = flat
        self.tags = padded
        self.codes = {
            "video": self._encode("video", videos.video_ids),
            "channel": self._encode("channel", videos.channels),
            "category": self._encode("category", videos.categories),
            "language": self._encode("language", videos.languages),
            "tag": np.zeros((len(tags) + 1, TAGS), dtype=np.int32),
        }
        self.codes["tag"][filled] = vocabularies["tag"].encode(
            tag for of_video in tags for tag in of_video
        )

    def _encode(self, space: str, values: Sequence[str | None]) -> npt.NDArray[np.int32]:
        return np.append(self.vocabularies[space].encode(values), np.int32(0))

    def __len__(self) -> int:
        """Return how many rows there are, with that of unknown videos."""
        return len(self.durations_s)


def _number(values: Sequence[str | None]) -> Ints:
    """Return a number a value, -1 for None; and a last one for no value."""
    known: dict[str, int] = {}
    numbers = [-1 if one is None else known.setdefault(one, len(known)) for one in values]
    return np.array([*numbers, -1], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class VideoStatistics:
    """How people took each video, and each channel, up to a moment.

    ``videos`` and ``channels`` are whole numbers, int64 (rows, ``COUNTED``), by rows of a catalogue
    and by its channels; the last row is of what it lacks, 0. Of watches only those that had ended
    count, each with what is known of its length.
    """

    videos: Ints
    channels: Ints

    @classmethod
    def count(cls, histories: Histories, moment: int, contents: Contents) -> VideoStatistics:
        """Return what was known before ``moment``, in milliseconds since 1970; recent is a day."""
        counts = np.zeros((len(contents), len(COUNTED)), dtype=np.int64)

        def add(name: str, track: Track, mask: npt.NDArray[np.bool_], amount: str = "") -> None:
            weights = getattr(track, amount)[mask] if amount else None
            # float64 is exact to 2**53.
            totals = np.bincount(track.videos[mask] % len(contents), weights, len(contents))
            counts[:, COUNTED.index(name)] = totals

        for name, kind in ("impressions", EventType.IMPRESSION), ("clicks", EventType.CLICK):
            track = histories.tracks[kind]
            before = track.times < moment
            add(name, track, before)
            add(f"recent_{name}", track, before & (track.times >= moment - _DAY_MS))
        ended = histories.tracks[ENDED]
        for name, amount in ("watches", "watched_ms"), ("measured", "watched_permille"):
            known = (ended.times < moment) & (getattr(ended, amount) >= 0)
            add(name, ended, known)
            add(amount, ended, known, amount)
        return cls.from_counts(counts, contents)

    @classmethod
    def from_counts(cls, videos: Ints, contents: Contents) -> VideoStatistics:
        """Return the statistics whose ``videos`` are these."""
        videos = videos.copy()
        channels = np.zeros((contents.channels.max(initial=-1) + 2, len(COUNTED)), dtype=np.int64)
        np.add.at(channels, contents.channels, videos)
        videos[-1] = channels[-1] = 0
        return cls(videos, channels)

    def describe(self, videos: Ints, contents: Contents) -> dict[str, Floats]:
        """Return the rates of ``videos``, rows of the catalogue, and of their channels."""
        totals, channels = self.totals, contents.channels[videos]
        return {
            **_describe_counts("video", self.videos[videos], totals),
            **_describe_counts("of_channel", self.channels[channels], totals),
        }

    @cached_property
    def totals(self) -> Ints:
        """The sums over all videos."""
        total: Ints = self.videos.sum(axis=0)
        return total


def _describe_counts(of: str, own: Ints, totals: Ints) -> dict[str, Floats]:
    """Return rates, each drawn towards that of all by so much as is not known of its own."""

    def rate(amount: str, count: str) -> Floats:
        at, of = COUNTED.index(amount), COUNTED.index(count)
        overall = totals[at] / max(int(totals[of]), 1)
        smoothed: Floats = (own[:, at] + _PRIOR * overall) / (own[:, of] + _PRIOR)
        return smoothed

    click_rate, seconds = rate("clicks", "impressions"), rate("watched_ms", "watches") / 1e3
    numbers = {
        **{
            name: own[:, COUNTED.index(name)].astype(np.float64)
            for name in ("impressions", "recent_impressions", "watches")
        },
        "click_rate": click_rate,
        "recent_click_rate": rate("recent_clicks", "recent_impressions"),
        "mean_watched_s": seconds,
        "mean_share": rate("watched_permille", "measured") / 1e3,
        "expected_s": seconds * click_rate,
    }
    return {f"{of}_{name}": amounts for name, amounts in numbers.items()}


@dataclass(frozen=True, eq=False, kw_only=True)
class Questions:
    """Who is shown which video and when, as arrays of shape (n,).

    ``persons`` are numbers of `Histories`, ``moments`` milliseconds since 1970, ``videos`` and
    ``seeds`` (beside which it is shown) rows of a catalogue or -1. ``positions`` are places in the
    answer, NaN where unknown. ``context`` has codes.
    """

    persons: Ints
    moments: Ints
    videos: Ints
    seeds: Ints
    positions: Floats
    context: Mapping[str, npt.NDArray[np.int32]]

    @classmethod
    def from_impressions(cls, impressions: Impressions, contents: Contents) -> Self:
        """Return what was asked when these were shown."""
        return cls(
            persons=impressions.persons,
            moments=impressions.asked,
            videos=impressions.videos,
            seeds=np.full(len(impressions), -1, dtype=np.int64),
            positions=impressions.positions,
            context={
                name: contents.vocabularies[name].encode(texts)
                for name, texts in impressions.context.items()
            },
        )


class Features(NamedTuple):
    """Codes, int32 (n, all widths of ``FIELDS``), and numbers, float32 (n, names), NaN missing."""

    codes: npt.NDArray[np.int32]
    numbers: FloatMatrix
    names: Sequence[str]


def make_features(
    questions: Questions, histories: Histories, contents: Contents, statistics: VideoStatistics
) -> Features:
    """Return the features of each question: of what was known before its moment, and no more."""
    maker = _Maker(questions, histories, contents)
    numbers = {
        **maker.describe_person(),
        **maker.describe_past(),
        **maker.describe_video(statistics),
        **maker.describe_content(),
    }
    columns = np.column_stack([*numbers.values()]).astype(np.float32)
    return Features(maker.find_codes(), columns, tuple(numbers))


class _Maker:
    def __init__(self, questions: Questions, histories: Histories, contents: Contents) -> None:
        self.asked, self.contents, self.tracks = questions, contents, histories.tracks
        self.spans = {
            kind: track.find_known(questions.persons, questions.moments)
            for kind, track in self.tracks.items()
        }

    def describe_person(self) -> dict[str, Floats]:
        """Return what this person has done of late, whatever the video."""
        asked = self.asked
        shown, clicks = self.tracks[EventType.IMPRESSION], self.tracks[EventType.CLICK]
        seen, clicked = self.spans[EventType.IMPRESSION], self.spans[EventType.CLICK]
        ended = self._find_latest(ENDED)
        # The latest 10 impressions: how many clicks came since.
        since = np.append(shown.times, UNTIMED)[np.maximum(seen.last - 10, seen.first)]
        recent = np.minimum(seen.sizes, 10)
        lately = clicked.last - clicks.find_known(asked.persons, since).last
        numbers = {
            "person_impressions": seen.sizes.astype(np.float64),
            "person_watches": self.spans[EventType.WATCH].sizes.astype(np.float64),
            "person_click_rate": _divide(clicked.sizes, seen.sizes),
            "person_recent_click_rate": _divide(lately, recent),
        }
        for kind in EventType.IMPRESSION, EventType.CLICK, EventType.WATCH:
            numbers[f"hours_since_{kind}"] = self._hours_from(kind, self._find_latest(kind))
        for name, amount in LENGTHS:
            known, lengths = self._measure_ended(amount)
            totals = (sum_spans(self.spans[ENDED], one) for one in (lengths, known))
            numbers[f"person_mean_{name}"] = _divide(*totals) / 1e3
            of_last = _divide(lengths, known) / 1e3
            numbers[f"last_watch_{name}"] = np.append(of_last, np.nan)[ended]
        return numbers

    def describe_past(self) -> dict[str, Floats]:
        """Return what this person has done with the video, its channel and its tags."""
        numbers: dict[str, Floats] = {}
        both = (EventType.IMPRESSION, EventType.WATCH)
        rated = (*both, ENDED, EventType.CLICK, EventType.NOT_INTERESTED)
        said = (EventType.LIKE, EventType.DISLIKE)
        for key, kinds in ("video", both), ("channel", (*rated, *said)), ("tag", rated):
            keys = self._find_keys(key, self.asked.videos)
            for kind in kinds:
                index = KeyIndex(self._find_keys(key, self.tracks[kind].videos))
                found = index.find(self.spans[kind], keys)
                if kind == ENDED:
                    for name, amount in LENGTHS:
                        known, lengths = self._measure_ended(amount)
                        totals = (index.sum(found, one).sum(axis=1) for one in (lengths, known))
                        numbers[f"{key}_mean_{name}"] = _divide(*totals) / 1e3
                    continue
                numbers[f"{key}_{kind}_count"] = found.sizes.sum(axis=1).astype(np.float64)
                if kind in both:
                    latest = index.find_latest(found).max(axis=1)
                    numbers[f"{key}_{kind}_hours"] = self._hours_from(kind, latest)
            if key != "video":
                clicks, shown = (numbers[f"{key}_{kind}_count"] for kind in ("click", "impression"))
                numbers[f"{key}_click_rate"] = _divide(clicks, shown)
        return numbers

    def _find_keys(self, key: str, videos: Ints) -> Ints:
        """Return what videos are counted by: (n, 1) or of tags (n, `TAGS`), -1 for none."""
        match key:
            case "channel":
                return self.contents.channels[videos, None]
            case "tag":
                return self.contents.tags[videos]
            case _:
                return videos[:, None]

    def describe_video(self, statistics: VideoStatistics) -> dict[str, Floats]:
        """Return what others made of the video and its channel; its length and age; the moment."""
        asked, contents = self.asked, self.contents
        languages = contents.codes["language"][asked.videos]
        known = (languages > 0) & (asked.context["language"] > 0)
        numbers = {
            "duration_s": contents.durations_s[asked.videos],
            "age_hours": (asked.moments - contents.published_ms[asked.videos]) / _HOUR_MS,
            "position": asked.positions,
            "hour": asked.moments % _DAY_MS / _HOUR_MS,
            "same_language": np.where(known, languages == asked.context["language"], np.nan),
        }
        return {**numbers, **statistics.describe(asked.videos, contents)}

    def describe_content(self) -> dict[str, Floats]:
        """Return the cosine of each vector and the mean of those watched last, by lens."""
        numbers = {}
        _, last = self.spans[EventType.WATCH]
        for lens, vectors in self.contents.vectors.items():
            cosines = np.full(len(last), np.nan)
            for begin in range(0, len(last), _CHUNK):
                if vectors is not None:
                    part = slice(begin, begin + _CHUNK)
                    cosines[part] = self._compare(vectors, part)
            numbers[f"{lens}_similarity"] = cosines
        return numbers

    def find_codes(self) -> npt.NDArray[np.int32]:
        """Return the codes of all fields, side by side."""
        codes, videos = self.contents.codes, self.asked.videos
        watched, seeds = self._watched(WATCHED), self.asked.seeds
        # Beside a video is where that is watched: no log says so, but the watch does.
        last = np.where(seeds >= 0, seeds, watched[:, 0])
        columns = {
            "video": codes["video"][videos],
            "last_watched": codes["video"][last],
            "watched": codes["video"][watched],
            "channel": codes["channel"][videos],
            "last_channel": codes["channel"][last],
            "tags": codes["tag"][videos],
            "category": codes["category"][videos],
            "video_language": codes["language"][videos],
            **self.asked.context,
        }
        return np.column_stack([columns[field.name] for field in FIELDS]).astype(np.int32)

    def _watched(self, most: int) -> Ints:
        """Return the rows of the latest ``most`` watches, the latest first; -1 for none."""
        first, last = self.spans[EventType.WATCH]
        at = last[:, None] - 1 - np.arange(most)
        videos = np.append(self.tracks[EventType.WATCH].videos, -1)
        return np.where(at >= first[:, None], videos[np.maximum(at, -1)], -1)

    def _compare(self, vectors: npt.NDArray[Any], part: slice) -> Floats:
        # Many questions are of one person at one moment.
        watched, inverse = np.unique(self._watched(SIMILAR_TO)[part], axis=0, return_inverse=True)
        mean = _take(vectors, watched).sum(axis=1)[inverse]
        own = _take(vectors, self.asked.videos[part])
        # Sums of rows, not a product of matrices, whose rounding depends on how many there are.
        lengths = np.sqrt((own * own).sum(axis=1) * (mean * mean).sum(axis=1))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(lengths > 0, (own * mean).sum(axis=1) / lengths, np.nan)

    def _find_latest(self, kind: str) -> Ints:
        spans = self.spans[kind]
        return np.where(spans.sizes > 0, spans.last - 1, -1)

    def _hours_from(self, kind: str, events: Ints) -> Floats:
        """Return the hours from the event at each place, NaN at -1 and where it has no moment."""
        times = np.append(self.tracks[kind].times, UNTIMED)[events]
        return np.where(times == UNTIMED, np.nan, (self.asked.moments - times) / _HOUR_MS)

    def _measure_ended(self, amount: str) -> tuple[Ints, Ints]:
        """Return whether the length of each ended watch is known, 1 or 0, and that or 0."""
        lengths = getattr(self.tracks[ENDED], amount)
        return (lengths >= 0).astype(np.int64), np.maximum(lengths, 0)


def _take(vectors: npt.NDArray[Any], rows: Ints) -> npt.NDArray[np.float32]:
    """Return the vectors at ``rows``, zeros at -1."""
    taken: npt.NDArray[np.float32] = vectors[np.maximum(rows, 0)].astype(np.float32)
    taken[rows < 0] = 0
    return taken


def _divide(amounts: npt.NDArray[Any], counts: npt.NDArray[Any]) -> Floats:
    """Return quotients, NaN where nothing was counted."""
    return np.where(counts > 0, amounts / np.maximum(counts, 1), np.nan)
