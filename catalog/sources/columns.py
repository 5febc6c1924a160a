"""Which column of a source holds which field of a video."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Final

from twinlens.catalog.errors import NoVideos, SourceError
from twinlens.catalog.fields import Fields
from twinlens.catalog.sources.dates import DateOrder
from twinlens.catalog.sources.findings import name_some
from twinlens.catalog.sources.platforms import Platform

# Names of columns for what a video has beside its fields, the best first. Names are compared
# without case and punctuation: ``videoId``, ``video_id`` and ``Video ID`` are one.
_ID: Final = ("video_id", "youtube_id", "id", "uuid", "guid")
_SIZES: Final = ("maxres", "standard", "high", "medium", "default")
_PICTURES: Final[Mapping[str, tuple[str, ...]]] = {
    "thumbnail": (
        *("thumbnail", "image", "file_name", "picture", "thumbnail_path", "image_path", "poster"),
        *("thumb", "cover", "jpg", "png", "webp"),
    ),
    "thumbnail_url": (
        *("thumbnail_url", "thumbnail_link", "image_url", "thumbnails", "thumb_url", "poster_url"),
        # An object of sizes, each in a column of its own.
        *(f"{prefix}thumbnails.{size}.url" for prefix in ("", "snippet.") for size in _SIZES),
    ),
}
#: Seconds in one of a column of lengths, by how its name ends; without case and punctuation.
COLUMN_UNITS: Final[Mapping[str, Decimal]] = {
    **dict.fromkeys(
        ("ms", "msec", "msecs", "millis", "millisecond", "milliseconds"), Decimal("1e-3")
    ),
    **dict.fromkeys(("us", "microseconds"), Decimal("1e-6")),
    **dict.fromkeys(("ns", "nanoseconds"), Decimal("1e-9")),
    # Of .NET, as in Jellyfin's RunTimeTicks.
    "ticks": Decimal("1e-7"),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds", "hhmmss", "mmss"), Decimal(1)),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), Decimal(60)),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours", "hhmm"), Decimal(3600)),
}
# How the names of columns of lengths end, but for their unit; and the unit where it is mostly one.
_LENGTHS: Final = ("duration", "length", "runtime", "runningtime")
_MOSTLY: Final = {"runtime": Decimal(60)}
_SHORT_UNIT: Final = 5
_BY_LENGTH: Final = sorted(COLUMN_UNITS, key=len, reverse=True)
# Objects in objects are looked into so deep for names, and so many names are kept.
_DEPTH: Final = 4
_MOST_NAMES: Final = 2_000


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns to look for: those of ``fields``, by known names or by those of ``mapping``.

    ``mapping`` is from fields of a video to columns, or to ``""`` for none; a column may be a path
    such as ``snippet.title`` into objects. ``date_order`` says how ambiguous dates are read.

    Raises:
        SourceError: a key of ``mapping`` is no field of a video; the message lists the fields.
    """

    fields: Fields
    mapping: Mapping[str, str] = field(default_factory=dict)
    date_order: DateOrder | None = None

    def __post_init__(self) -> None:
        known = self._list_known_names()
        for name in self.mapping:
            if name not in known:
                raise SourceError(f"{name!r} is no field of a video; fields: {', '.join(known)}")

    def list_names(self, field: str) -> tuple[str, ...]:
        """Return names of columns that are taken for ``field``, the best first."""
        return self._list_known_names()[field]

    def _list_known_names(self) -> dict[str, tuple[str, ...]]:
        """Return names of columns by field, the best first; what lenses look at before the rest."""
        looked_at = {row.name: (row.name, *row.columns) for row in self.fields if row.searchable}
        rest = {row.name: (row.name, *row.columns) for row in self.fields if not row.searchable}
        return {"video_id": _ID, **looked_at, **_PICTURES, **rest}

    def resolve(
        self, names: Sequence[str], platform: Platform | None = None
    ) -> dict[str, tuple[str, ...]]:
        """Return the columns for each field that has any: the first that holds something counts.

        That is the mapped one, else those of ``platform``, else the best known name. Mapped columns
        that are not among ``names`` are left out; ``require`` complains of them.
        """
        by_plain_name: dict[str, str] = {}
        for name in names:
            by_plain_name.setdefault(simplify(name), name)
        for name in names:
            if (base := _split_unit(simplify(name))[0]) is not None:
                by_plain_name.setdefault(base, name)
        present = set(names)
        of_platform = {} if platform is None else platform.columns
        found: dict[str, tuple[str, ...]] = {}
        for wanted, known in self._list_known_names().items():
            if wanted in self.mapping:
                columns = tuple(filter(None, [self.mapping[wanted]]))
            elif wanted in of_platform and (
                not of_platform[wanted] or _any_there(of_platform[wanted], present)
            ):
                columns = of_platform[wanted]
            else:
                best = (_find(name, present, by_plain_name) for name in known)
                columns = tuple(filter(None, [next(filter(None, best), None)]))
            if there := tuple(column for column in columns if _is_there(column, present)):
                found[wanted] = there
        return found

    def require(
        self, names: Sequence[str], *, where: str, platform: Platform | None = None
    ) -> None:
        """Return where ``names`` hold every mapped column and something to encode.

        Raises:
            SourceError: a mapped column is missing, or one is there twice.
            NoVideos: there is no title and no thumbnail; the message lists the columns there are.
        """
        there_are = f"its columns: {name_some(list_top(names)) or 'none'}"
        for wanted, column in self.mapping.items():
            if column and column not in names:
                raise SourceError(f"{where} has no column {column!r} (for {wanted}); {there_are}")
        found = self.resolve(names, platform)
        for columns in found.values():
            for column in columns:
                if names.count(column) > 1:
                    raise SourceError(f"{where} has more than one column {column!r}; {there_are}")
        looked_at = [row.name for row in self.fields if row.searchable]
        if not any(name in found for name in (*looked_at, *_PICTURES)):
            raise NoVideos(
                f"{where} has no column for a title or a thumbnail; {there_are}; "
                "name the right ones, as in title=COLUMN"
            )


def list_unused(names: Iterable[str], used: Collection[str]) -> list[str]:
    """Return the columns, not those in objects, that are not among the ``used``."""
    tops = {*used, *(column.split(".")[0] for column in used)}
    return [name for name in list_top(names) if name not in tops]


def list_top(names: Iterable[str]) -> list[str]:
    """Return ``names`` without those that lead into one of the others."""
    there = set(names)
    return [name for name in names if not any(prefix in there for prefix in _list_prefixes(name))]


def list_paths(cells: Mapping[str, object]) -> Iterator[str]:
    """Yield the names of ``cells``, and paths into objects among them."""
    yield from cells
    left = _MOST_NAMES
    for name, cell in cells.items():
        if isinstance(cell, dict):
            for path in _walk(name, cell, _DEPTH):
                if (left := left - 1) < 0:
                    return
                yield path


def _walk(name: str, cell: Mapping[object, object], depth: int) -> Iterator[str]:
    for key, inner in cell.items():
        path = f"{name}.{key}"
        yield path
        if isinstance(inner, dict) and depth:
            yield from _walk(path, inner, depth - 1)


def _list_prefixes(name: str) -> Iterator[str]:
    at = name.find(".")
    while at > 0:
        yield name[:at]
        at = name.find(".", at + 1)


def _is_there(column: str, names: Collection[str]) -> bool:
    return column in names or any(prefix in names for prefix in _list_prefixes(column))


def _any_there(columns: Sequence[str], names: Collection[str]) -> bool:
    return any(_is_there(column, names) for column in columns)


def _find(name: str, present: Collection[str], by_plain_name: Mapping[str, str]) -> str | None:
    return name if name in present else by_plain_name.get(simplify(name))


@lru_cache(maxsize=1024)
def find_unit(column: str) -> tuple[Decimal, bool] | None:
    """Return how many seconds one of a column of lengths is, where its name says or hints so.

    With it comes whether the name says so; where it only hints, such columns mostly have that unit.
    """
    plain = simplify(column)
    base, unit = _split_unit(plain)
    if base is not None:
        return COLUMN_UNITS[unit], True
    mostly = next((unit for name, unit in _MOSTLY.items() if plain.endswith(name)), None)
    return None if mostly is None else (mostly, False)


def _split_unit(name: str) -> tuple[str | None, str]:
    """Return the plain name of a column of lengths without its unit, and that; or None."""
    for unit in _BY_LENGTH:
        base = name.removesuffix(unit)
        if base == name:
            continue
        base = base.removesuffix("in")
        if base.endswith(_LENGTHS) or (not base and len(unit) > _SHORT_UNIT):
            return base, unit
    return None, ""


def simplify(name: str) -> str:
    """Return a name without case and punctuation."""
    return "".join(character for character in name.casefold() if character.isalnum())
