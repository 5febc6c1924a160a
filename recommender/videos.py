"""All videos' content in columns, by one row each: what networks learn from and filters look at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, reduce
from operator import and_, or_
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from twinlens.catalog.fields import FIELDS, FieldKind, Fields
from twinlens.catalog.video import THUMBNAIL_FILE, read_thumbnail_file
from twinlens.stores.base import StoredVideo, VectorReader
from twinlens.stores.filters import (
    And,
    AnyOf,
    Filter,
    Not,
    OneOfVideos,
    Or,
    Present,
    Range,
    matches,
    to_moment,
    to_number,
)

Mask = npt.NDArray[np.bool_]
_NO_COLUMN: Final = frozenset({FieldKind.TEXT, FieldKind.URL})


@dataclass(frozen=True, eq=False)
class Column:
    """The values of one field: of each entry the ``rows`` of its video, rising, and its ``codes``.

    ``values`` are the distinct ones, by code. A video that lacks the field has no entry, one with
    several values several.
    """

    values: Sequence[Any]
    rows: npt.NDArray[np.int32]
    codes: npt.NDArray[np.int32]

    @classmethod
    def encode(cls, items: Iterable[Any]) -> Self:
        """Return the column of one item a video: None, a JSON value, or a list of them."""
        known: dict[Any, int] = {}
        rows, codes = [], []
        for row, item in enumerate(items):
            for value in item if isinstance(item, list | tuple) else (item,):
                if value is not None:
                    # 1 is not true, and yet its equal for a dictionary.
                    key = value if isinstance(value, str) else (type(value), value)
                    rows.append(row)
                    codes.append(known.setdefault(key, len(known)))
        values = [key[1] if isinstance(key, tuple) else key for key in known]
        return cls(values, np.array(rows, dtype=np.int32), np.array(codes, dtype=np.int32))

    def mark(self, passing: Mask, videos: int) -> Mask:
        """Return which of ``videos`` rows have one of the values that are ``passing``."""
        marked = np.zeros(videos, dtype=np.bool_)
        marked[self.rows[passing[self.codes]]] = True
        return marked

    def spread(self, values: npt.NDArray[np.float64], videos: int) -> npt.NDArray[np.float64]:
        """Return a number a video, shape (videos,): that of its value, NaN where it has none."""
        spread = np.full(videos, np.nan)
        spread[self.rows] = values[self.codes]
        return spread

    @cached_property
    def numbers(self) -> npt.NDArray[np.float64]:
        """The values as numbers, NaN where one is none."""
        return _to_floats(self.values, to_number)

    @cached_property
    def moments(self) -> npt.NDArray[np.float64]:
        """The values as seconds since 1970, NaN where one is no moment."""
        return _to_floats(self.values, to_moment)


def _to_floats(
    values: Sequence[Any], convert: Callable[[Any], float | datetime | None]
) -> npt.NDArray[np.float64]:
    converted = [convert(value) for value in values]
    numbers = [one.timestamp() if isinstance(one, datetime) else one for one in converted]
    return np.array([np.nan if one is None else one for one in numbers], dtype=np.float64)


@dataclass(frozen=True, eq=False, kw_only=True)
class VideoTable:
    """Videos by row. ``vectors`` has a float16 matrix (videos, dim) a lens; a zero row is none.

    ``columns`` has what filters may name, and what else tells videos apart, by field.
    """

    video_ids: Sequence[str]
    vectors: Mapping[str, npt.NDArray[np.float16]]
    columns: Mapping[str, Column]

    @classmethod
    def read(cls, reader: VectorReader) -> Self:
        """Return the videos of an open generation."""
        videos = (video for batch in reader.scan(with_vectors=True) for video in batch)
        return cls.from_videos(videos, reader.fields)

    @classmethod
    def from_videos(cls, videos: Iterable[StoredVideo], fields: Fields = FIELDS) -> Self:
        """Return the table of these videos, in their order."""
        names = [field.name for field in fields if field.kind not in _NO_COLUMN]
        ids: list[str] = []
        items: dict[str, list[Any]] = {name: [] for name in (*names, THUMBNAIL_FILE)}
        vectors: dict[str, tuple[list[int], list[npt.NDArray[np.float16]]]] = {}
        for row, video in enumerate(videos):
            ids.append(video.video_id)
            for name in names:
                items[name].append(video.payload.get(name))
            # Nobody asks which.
            items[THUMBNAIL_FILE].append(read_thumbnail_file(video.payload) and True)
            for lens, vector in video.vectors.items():
                rows, kept = vectors.setdefault(lens, ([], []))
                rows.append(row)
                kept.append(vector.astype(np.float16))
        matrices = {}
        for lens in list(vectors):
            rows, kept = vectors.pop(lens)
            matrices[lens] = np.zeros((len(ids), len(kept[0])), dtype=np.float16)
            matrices[lens][rows] = kept
        columns = {name: Column.encode(items.pop(name)) for name in list(items)}
        return cls(video_ids=ids, vectors=matrices, columns=columns)

    def __len__(self) -> int:
        return len(self.video_ids)

    @cached_property
    def rows(self) -> Mapping[str, int]:
        """The row of each video, by its id."""
        return {video_id: row for row, video_id in enumerate(self.video_ids)}

    @cached_property
    def channels(self) -> Sequence[str | None]:
        """The channel of each video, or None."""
        return self._list_texts("channel")

    @cached_property
    def languages(self) -> Sequence[str | None]:
        """The language of each video, or None."""
        return self._list_texts("language")

    @cached_property
    def categories(self) -> Sequence[str | None]:
        """The category of each video, or None."""
        return self._list_texts("category")

    @cached_property
    def tags(self) -> Sequence[Sequence[str]]:
        """The tags of each video."""
        tags: list[list[str]] = [[] for _ in self.video_ids]
        if (column := self.columns.get("tags")) is not None:
            for row, code in zip(column.rows.tolist(), column.codes.tolist(), strict=True):
                tags[row].append(column.values[code])
        return tags

    @cached_property
    def durations_s(self) -> npt.NDArray[np.float64]:
        """Seconds, NaN where they are not known."""
        column = self.columns.get("duration_s", Column.encode(()))
        return column.spread(column.numbers, len(self))

    @cached_property
    def published_at(self) -> npt.NDArray[np.float64]:
        """Seconds since 1970, NaN where it is not known."""
        column = self.columns.get("published_at", Column.encode(()))
        return column.spread(column.moments, len(self))

    def select(self, filter: Filter) -> Mask:
        """Return which videos pass, bool of shape (videos,): what ``matches`` says of payloads."""
        nothing = np.zeros(len(self), dtype=np.bool_)
        match filter:
            case AnyOf(field, _) if field in self.columns:
                values = self.columns[field].values
                passing = np.fromiter((matches(filter, {field: one}) for one in values), np.bool_)
                return self.columns[field].mark(passing, len(self))
            case Range() if filter.field in self.columns:
                column = self.columns[filter.field]
                return column.mark(_find_within(column, filter), len(self))
            case Present(field) if field in self.columns:
                column = self.columns[field]
                return column.mark(np.ones(len(column.values), dtype=np.bool_), len(self))
            case OneOfVideos(video_ids):
                found = (one in video_ids for one in self.video_ids)
                return np.fromiter(found, np.bool_, len(self))
            case And(parts):
                everything = np.ones(len(self), dtype=np.bool_)
                return reduce(and_, map(self.select, parts), everything)
            case Or(parts):
                return reduce(or_, map(self.select, parts), nothing)
            case Not(part):
                return ~self.select(part)
            case _:
                return nothing

    def _list_texts(self, field: str) -> Sequence[str | None]:
        texts: list[str | None] = [None] * len(self)
        if (column := self.columns.get(field)) is not None:
            for row, code in zip(column.rows.tolist(), column.codes.tolist(), strict=True):
                texts[row] = column.values[code]
        return texts


def _find_within(column: Column, within: Range) -> Mask:
    """Return which values of a column lie within bounds."""
    places = column.moments if within.over_moments else column.numbers
    passing = ~np.isnan(places)
    bounds = {
        name: bound.timestamp() if isinstance(bound, datetime) else bound
        for name, bound in within.bounds().items()
    }
    with np.errstate(invalid="ignore"):
        for name, compare in _COMPARED.items():
            if name in bounds:
                passing &= compare(places, bounds[name])
    return passing


_COMPARED: Final[Mapping[str, Callable[[Any, float], Mask]]] = {
    "gt": np.greater,
    "gte": np.greater_equal,
    "lt": np.less,
    "lte": np.less_equal,
}
