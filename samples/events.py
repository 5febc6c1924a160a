"""A drawn log over a drawn catalogue: what people were shown and did, and what was to be expected.

In ``log/`` of a sample's folder are ``events.parquet``, as any log; ``people.parquet``, what a site
knows of them beside events; and what only the maker knows: ``truth.parquet`` has a row an
impression, ``videos.parquet`` one a video, ``fashions.parquet`` the appeal of each subject by day.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tqdm import tqdm

from twinlens.catalog.errors import UsageError
from twinlens.catalog.files import write_atomically
from twinlens.events.event import EventType
from twinlens.events.log import EVENT_SCHEMA
from twinlens.samples.catalogue import METADATA
from twinlens.samples.titles import LANGUAGES
from twinlens.samples.visits import HITS, SURFACES, Hits, Visitors
from twinlens.samples.world import (
    DAYS,
    DEVICES,
    GENDERS,
    REGIONS,
    START,
    SUBJECT_NAMES,
    Ints,
    People,
    Tastes,
    Videos,
)

FOLDER: Final = "log"
# Its number goes up whenever a seed would draw something else.
_DRAWING: Final = 1
_MARK: Final = b"twinlens sample"
_BLOCK: Final = 64
# What became of an impression, and what was true of it.
_TRUTH: Final = (
    *("clicked", "watched_s"),
    *("click_chance", "expected_s", "due", "wanted", "weary", "shown"),
)


@dataclass(frozen=True, slots=True)
class EventSummary:
    """What stands in ``folder`` now; ``drawn`` is False where it was there already."""

    folder: Path
    events: int
    people: int
    drawn: bool
    seconds: float


@dataclass(frozen=True, eq=False, kw_only=True)
class DrawnLog:
    """A log and its truth: the tables that the module names."""

    people: pa.Table
    truth: pa.Table
    videos: pa.Table
    fashions: pa.Table
    events: pa.Table


def draw_events(
    directory: Path, *, events: int, seed: int = 0, progress: bool = True
) -> EventSummary:
    """Draw a log of at most ``events`` events over the sample catalogue in ``directory``.

    The log of more events has all of that of fewer. Over more videos another one is drawn.

    Raises:
        UsageError: the log there has more events, or the catalogue has too few videos.
    """
    started, folder = time.monotonic(), directory / FOLDER
    with (directory / METADATA).open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    mark = {"seed": seed, "drawing": _DRAWING, "videos": len(rows), "asked": events}
    found = _read_mark(folder / "events.parquet")
    if found != mark:
        if found == mark | {"asked": max(events, found.get("asked", 0))}:
            raise UsageError(
                f"{folder} already holds a log of {found['asked']} events; a sample grows but does"
                " not shrink"
            )
        log = draw_log(rows, events=events, seed=seed, progress=progress)
        folder.mkdir(exist_ok=True)
        # The events come last: they vouch for what lies beside them.
        for name, table in vars(log).items():
            out = pa.BufferOutputStream()
            pq.write_table(table.replace_schema_metadata({_MARK: json.dumps(mark)}), out)
            write_atomically(folder / f"{name}.parquet", out.getvalue().to_pybytes())
    sizes = [pq.read_metadata(folder / f"{one}.parquet").num_rows for one in ("events", "people")]
    seconds = time.monotonic() - started
    return EventSummary(folder, sizes[0], sizes[1], drawn=found != mark, seconds=seconds)


def _read_mark(path: Path) -> dict[str, Any]:
    """Return what drew a file, or nothing where there is none of ours."""
    try:
        mark: dict[str, Any] = json.loads(pq.read_schema(path).metadata[_MARK])
    except (OSError, pa.ArrowException, TypeError, LookupError, ValueError):
        return {}
    return mark


def draw_log(
    rows: Sequence[Mapping[str, Any]], *, events: int, seed: int = 0, progress: bool = False
) -> DrawnLog:
    """Return a log of at most ``events`` events, in whole pages, over these rows of a catalogue.

    Raises:
        UsageError: fewer than ten of the videos are published before the log begins.
    """
    videos, tastes = Videos.read(rows), Tastes(np.random.default_rng([seed, 0]))
    if (before := int((videos.published < 0).sum())) < HITS:
        raise UsageError(
            f"a log takes {HITS} videos that were published before {START:%Y-%m-%d}, and the"
            f" catalogue has {before}: draw more videos"
        )
    parts: list[Hits] = []
    people: list[pa.Table] = []
    counts = np.zeros(0, dtype=np.int64)
    with tqdm(total=events, unit=" events", desc="drawing", disable=not progress) as bar:
        while counts.sum() < events:
            # A block has chances of its own, so that a log grows by people.
            rng = np.random.default_rng([seed, 1, len(people)])
            some = People(rng, _BLOCK, tastes, int(videos.channels.max()) + 1)
            hits = Visitors(some, videos, tastes, rng).visit()
            hits["person"] += _BLOCK * len(people)
            parts.append(hits)
            people.append(_describe_people(some, _BLOCK * len(people)))
            counts = np.append(counts, _count_events(hits))
            bar.update(min(int(counts.sum()), events) - bar.n)
    kept = np.flatnonzero(np.cumsum(counts) <= events)[-1:] + 1
    hits = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    hits = {name: of[: HITS * int(kept.sum())] for name, of in hits.items()}
    known = pa.concat_tables(people).slice(0, int(hits["person"].max(initial=-1)) + 1)
    ids = pa.array([row["video_id"] for row in rows])
    columns = _name_columns(hits, videos, ids, known, world=f"{seed}-{len(rows)}")
    names = ("quality", "clickbait", "parts", "previous")
    fashion = tastes.find_fashion(np.linspace(0.5, DAYS - 0.5, DAYS))
    return DrawnLog(
        people=known,
        truth=pa.table({"event_id": columns["event_id"], **{name: hits[name] for name in _TRUTH}}),
        videos=pa.table({"video_id": ids, **{name: getattr(videos, name) for name in names}}),
        fashions=pa.table(list(fashion.T), names=SUBJECT_NAMES),
        events=_list_events(hits, columns, _write_queries(hits, videos, seed)),
    )


def _count_events(hits: Hits) -> Ints:
    """Return how many events each page comes to."""
    by_hit = 1 + 2 * hits["clicked"] + hits["liked"] + hits["not_interested"]
    counts: Ints = by_hit.reshape(-1, HITS).sum(axis=1) + (hits["searched"][::HITS] >= 0)
    return counts


def _describe_people(people: People, first: int) -> pa.Table:
    numbers = range(first, first + len(people.pages))
    codes = {"region": (REGIONS, people.regions), "language": (LANGUAGES, people.languages)}
    codes |= {"device": (DEVICES, people.devices), "gender": (GENDERS, people.genders)}
    texts = {name: np.array([*values])[of].tolist() for name, (values, of) in codes.items()}
    plain = {"age": people.ages, "logged_in": people.logged_in}
    return pa.table({"person_id": [f"drawn-{at:06d}" for at in numbers], **texts, **plain})


def _name_columns(
    hits: Hits, videos: Videos, ids: pa.Array, people: pa.Table, world: str
) -> dict[str, Any]:
    """Return what all events of a hit have in common, as columns of `EVENT_SCHEMA`."""
    of = people.take(hits["person"])
    page, place = (pa.array(hits[name]).cast(pa.string()) for name in ("page", "position"))
    answer = pc.binary_join_element_wise(world, of["person_id"], page, "-")
    searched = hits["surface"] == SURFACES.index("search")
    return {
        **{name: of[name] for name in ("person_id", "region", "device", "language")},
        "event_id": pc.binary_join_element_wise(answer, place, "-"),
        "feed_id": pc.if_else(searched, None, answer),
        "query_id": pc.if_else(searched, answer, None),
        "surface": pa.array(np.array(SURFACES)[hits["surface"]].tolist()),
        "position": hits["position"],
        "video_id": ids.take(hits["video"]),
        "duration_s": videos.durations_s[hits["video"]],
    }


def _write_queries(hits: Hits, videos: Videos, seed: int) -> pa.Array:
    """Return what those who search type: one or two tags of a video that they find."""
    rng = np.random.default_rng([seed, 2])
    tags = [videos.rows[video]["tags"] for video in hits["video"][::HITS].tolist()]
    lots = rng.random((len(tags), 2)).tolist()
    texts = [
        " ".join(dict.fromkeys(of[int(lot * len(of))] for lot in two)) if searched >= 0 else None
        for of, two, searched in zip(tags, lots, hits["searched"][::HITS].tolist(), strict=True)
    ]
    return pa.array(texts, pa.string()).take(np.repeat(np.arange(len(tags)), HITS))


def _list_events(hits: Hits, columns: Mapping[str, Any], queries: pa.Array) -> pa.Table:
    """Return all events, by time."""
    asked, position, watched_s = hits["day"] * 86_400, hits["position"], hits["watched_s"]
    # One watch after another, each after a look at what stands above.
    ended = asked + np.cumsum(watched_s.reshape(-1, HITS), axis=1).ravel() + 4.0 * position
    opened, clicked, searching = ended - watched_s, hits["clicked"], hits["searched"] >= 0
    ids = columns["event_id"]
    watch = {"watch_id": ids, "watched_s": watched_s}
    query = {"text": queries} | dict.fromkeys(("video_id", "position", "duration_s"))
    impression = {"event_id": ids, "duration_s": None, "seen": hits["seen"]}
    answer = {"duration_s": None}
    happened = (
        (EventType.SEARCH, searching & (position == 1), asked - 1, query),
        (EventType.IMPRESSION, position > 0, asked, impression),
        (EventType.CLICK, clicked, opened, answer),
        (EventType.WATCH, clicked, opened + 1, watch),
        (EventType.LIKE, hits["liked"], ended, answer),
        (EventType.NOT_INTERESTED, hits["not_interested"], opened, answer),
    )
    tables = []
    for kind, mask, seconds, more in happened:
        kinds = pa.repeat(kind.value, len(ids)).dictionary_encode()
        own = pc.binary_join_element_wise(ids, kind.value, "-")
        at = np.datetime64(START.replace(tzinfo=None), "us") + (seconds * 1e6).astype(np.int64)
        row = {**columns, "event_id": own, "type": kinds, "at": at, **more}
        arrays = [_to_array(row.get(field.name), field.type, len(ids)) for field in EVENT_SCHEMA]
        tables.append(pa.table(arrays, schema=EVENT_SCHEMA).filter(pa.array(mask)))
    return pa.concat_tables(tables).sort_by("at")


def _to_array(values: Any, type_: pa.DataType, count: int) -> pa.Array:
    if values is None:
        return pa.nulls(count, type_)
    return (pa.array(values) if isinstance(values, np.ndarray) else values).cast(type_)
