"""Which column of a source holds which field of a video."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from twinlens.catalog.errors import NoVideos, SourceError
from twinlens.catalog.fields import Fields
from twinlens.catalog.sources.dates import DateOrder
from twinlens.catalog.sources.findings import name_some
from twinlens.catalog.sources.platforms import Platform

# Names of columns for what a video has beside its fields, the best first. Names are compared
# without case and punctuation: ``videoId``, ``video_id`` and ``Video ID`` are one.
_ID: Final = ("video_id", "youtube_id", "id", "uuid", "guid")
_PICTURES: Final[Mapping[str, tuple[str, ...]]] = {
    "thumbnail": (
        *("thumbnail", "image", "file_name", "picture", "thumbnail_path", "image_path", "poster"),
        *("thumb", "cover", "jpg", "png", "webp"),
    ),
    "thumbnail_url": (
        *("thumbnail_url", "thumbnail_link", "image_url", "thumbnails", "thumb_url", "poster_url"),
    ),
}
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


def simplify(name: str) -> str:
    """Return a name without case and punctuation."""
    return "".join(character for character in name.casefold() if character.isalnum())
