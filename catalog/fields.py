"""The fields of a video: one row each, from which everything that handles fields is derived.

A source's columns and their parsing, a video's values, payload indexes, filters, facets, sorts,
attributes, the OpenAPI document, the table in the docs, the page and its client's types all read a
``Fields``. It is a value: the job indexes by one, the manifest keeps it, and a server answers by
that of the index it has open. ``FIELDS`` is ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

FieldValue = str | int | float | datetime | tuple[str, ...]


class FieldKind(StrEnum):
    """What the values of a field are. Sorts are offered in this order."""

    TEXT = "text"
    """Text that no two videos need to share."""
    URL = "url"
    """A web address."""
    KEYWORD = "keyword"
    """One of a set of texts."""
    KEYWORDS = "keywords"
    """Several of them."""
    MOMENT = "moment"
    """A point in time; RFC 3339 text in an index."""
    COUNT = "count"
    """A whole number, not negative."""
    DURATION = "duration"
    """Seconds, not negative."""

    @property
    def is_ordered(self) -> bool:
        """Whether values lie between others, so that they have bounds and an order."""
        return self in (FieldKind.MOMENT, FieldKind.COUNT, FieldKind.DURATION)

    @property
    def is_counted(self) -> bool:
        """Whether videos share values, so that they can be counted by them."""
        return self in (FieldKind.KEYWORD, FieldKind.KEYWORDS)


# Names that mean something else where names of fields stand: in a source, a payload, a filter.
_TAKEN: Final = frozenset(
    {
        "video_id",
        "thumbnail",
        "thumbnail_url",
        "thumbnail_file",
        "has_thumbnail",
        "and",
        "or",
        "not",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a video.

    ``columns`` are names of a source's columns that are taken for it beside its own, the best
    first. ``filterable``: filters may name it. ``sortable``: videos can be put in order by it.
    ``facet``: its values are counted, or of an ordered kind its least and greatest found.
    ``searchable``: a lens looks at it. ``label`` is its heading and ``help`` the sentence that says
    what it is. ``sorts`` are what its two orders are called, the greatest first; ``units`` what one
    and several of it are. The page calls it ``address`` in its own address, offers one of
    ``few_values`` before the others, and shows one ``on_card`` wherever it shows the video.

    Raises:
        ValueError: the name is no plain name or taken, or the kind can't do what is asked of it.
    """

    name: str
    kind: FieldKind
    label: str
    help: str
    columns: tuple[str, ...] = ()
    filterable: bool = False
    sortable: bool = False
    facet: bool = False
    searchable: bool = False
    sorts: tuple[str, str] | None = None
    units: tuple[str, str] | None = None
    address: str | None = None
    few_values: bool = False
    on_card: bool = False

    def __post_init__(self) -> None:
        if not self.name.isidentifier() or self.name.startswith("_") or self.name in _TAKEN:
            raise ValueError(f"{self.name!r} can't be the name of a field")
        if (self.filterable or self.facet) and not (self.kind.is_ordered or self.kind.is_counted):
            raise ValueError(f"{self.name}: a {self.kind} is neither filtered by nor counted")
        if self.sortable and not self.kind.is_ordered:
            raise ValueError(f"{self.name}: a {self.kind} has no order to sort by")
        if self.facet and self.kind.is_ordered and not self.sortable:
            raise ValueError(f"{self.name}: its least and greatest are found by sorting")
        if self.searchable and self.kind is not FieldKind.TEXT:
            raise ValueError(f"{self.name}: a lens looks at text, not at a {self.kind}")

    @property
    def sort_labels(self) -> tuple[str, str]:
        """What its two orders are called, the greatest first."""
        label = self.label.lower()
        match self.kind:
            case FieldKind.COUNT:
                otherwise = f"Most {label}", f"Fewest {label}"
            case FieldKind.MOMENT:
                otherwise = f"{self.label}, latest first", f"{self.label}, earliest first"
            case _:
                otherwise = f"{self.label}, longest first", f"{self.label}, shortest first"
        return self.sorts or otherwise

    @property
    def is_indexed(self) -> bool:
        """Whether an engine is asked for its values."""
        return self.filterable or self.sortable or self.facet

    def to_json(self) -> dict[str, Any]:
        """Return the row as JSON values; ``from_json`` is its inverse."""
        return {name: value for name, value in asdict(self).items() if value not in (None, ())}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Field:
        """Return a row from JSON values.

        Raises:
            KeyError, TypeError, ValueError: the values are not a row's.
        """
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        return cls(**given | {"kind": FieldKind(given["kind"])})


class Fields:
    """Fields of videos, by name, in the order in which people see them. Never changes.

    Raises:
        ValueError: two have one name, or one address.
    """

    __slots__ = ("_by_name", "_hash")

    def __init__(self, rows: Iterable[Field]) -> None:
        self._by_name: dict[str, Field] = {}
        addresses: set[str] = set()
        for row in rows:
            if row.name in self._by_name or (row.address or row.name) in addresses:
                raise ValueError(f"there are two fields {row.name!r}")
            self._by_name[row.name] = row
            addresses.add(row.address or row.name)
        # Models are looked up by fields with every answer.
        self._hash = hash(tuple(self))

    def __iter__(self) -> Iterator[Field]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __getitem__(self, name: str) -> Field:
        return self._by_name[name]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fields) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"Fields({', '.join(self._by_name)})"

    def get(self, name: str) -> Field | None:
        """Return the field of this name, or None."""
        return self._by_name.get(name)

    def find_kind(self, name: str) -> FieldKind | None:
        """Return what its values are, or None if there is no such field."""
        row = self._by_name.get(name)
        return None if row is None else row.kind

    @property
    def names(self) -> tuple[str, ...]:
        """The name of every field."""
        return tuple(self._by_name)

    @property
    def filterable(self) -> tuple[Field, ...]:
        """Those that a filter may name."""
        return tuple(row for row in self if row.filterable)

    @property
    def sortable(self) -> tuple[Field, ...]:
        """Those that put videos in order: moments first, then counts, then durations."""
        kinds = list(FieldKind)
        rows = (row for row in self if row.sortable)
        return tuple(sorted(rows, key=lambda row: kinds.index(row.kind)))

    @property
    def facets(self) -> tuple[Field, ...]:
        """Those of which values are counted, or the least and the greatest found."""
        return tuple(row for row in self if row.facet)

    @property
    def counted(self) -> tuple[Field, ...]:
        """Those facets of which values are counted."""
        return tuple(row for row in self.facets if row.kind.is_counted)

    def select(self, *names: str) -> Fields:
        """Return the fields of these names."""
        return Fields(self[name] for name in names)

    def with_rows(self, *rows: Field) -> Fields:
        """Return these fields followed by ``rows``."""
        return Fields([*self, *rows])

    def to_json(self) -> list[dict[str, Any]]:
        """Return the rows as JSON values; ``from_json`` is its inverse."""
        return [row.to_json() for row in self]

    @classmethod
    def from_json(cls, values: Iterable[Mapping[str, Any]]) -> Fields:
        """Return fields from JSON values.

        Raises:
            KeyError, TypeError, ValueError: the values are not those of rows.
        """
        return cls(Field.from_json(row) for row in values)


FIELDS: Final = Fields(
    (
        Field(
            name="title",
            kind=FieldKind.TEXT,
            label="Title",
            help="Its title.",
            columns=("video_title", "name", "headline", "caption", "text"),
            searchable=True,
        ),
        Field(
            name="channel",
            kind=FieldKind.KEYWORD,
            label="Channel",
            help="Its channel.",
            columns=(
                "channel_title",
                "channel_name",
                "uploader",
                "author",
                "author_name",
                "creator",
            ),
            filterable=True,
            facet=True,
            on_card=True,
        ),
        Field(
            name="category",
            kind=FieldKind.KEYWORD,
            label="Category",
            help="Its category.",
            columns=("category_name", "categories", "category_id", "genre"),
            filterable=True,
            facet=True,
            few_values=True,
        ),
        Field(
            name="language",
            kind=FieldKind.KEYWORD,
            label="Language",
            help="The language of its title, as a code.",
            columns=("lang", "default_language", "default_audio_language"),
            filterable=True,
            facet=True,
            few_values=True,
        ),
        Field(
            name="tags",
            kind=FieldKind.KEYWORDS,
            label="Tags",
            help="Its tags.",
            columns=("keywords", "hashtags"),
            filterable=True,
            facet=True,
            address="tag",
        ),
        Field(
            name="published_at",
            kind=FieldKind.MOMENT,
            label="Published",
            help="When it was published.",
            columns=(
                *("publish_time", "publish_date", "upload_date", "published", "release_date"),
                *("created_at", "created_time", "date_published", "date"),
            ),
            filterable=True,
            sortable=True,
            facet=True,
            sorts=("Newest", "Oldest"),
            address="years",
            on_card=True,
        ),
        Field(
            name="duration_s",
            kind=FieldKind.DURATION,
            label="Length",
            help="How long it is, in seconds.",
            columns=(
                *("duration", "duration_seconds", "duration_sec", "length_seconds", "length"),
                *("duration_string", "duration_ms", "duration_minutes", "runtime", "running_time"),
                *("video_duration", "video_length"),
            ),
            filterable=True,
            sortable=True,
            facet=True,
            sorts=("Longest", "Shortest"),
            address="length",
            on_card=True,
        ),
        Field(
            name="view_count",
            kind=FieldKind.COUNT,
            label="Views",
            help="How often it was seen.",
            columns=(
                *("views", "play_count", "plays", "watch_count", "number_of_views", "total_views"),
                *("interaction_statistic", "interaction_count"),
            ),
            filterable=True,
            sortable=True,
            facet=True,
            sorts=("Most viewed", "Least viewed"),
            units=("view", "views"),
            address="views",
            on_card=True,
        ),
        Field(
            name="url",
            kind=FieldKind.URL,
            label="Address",
            help="Where it can be watched.",
            columns=("video_url", "webpage_url", "watch_url", "link", "permalink"),
        ),
        Field(
            name="like_count",
            kind=FieldKind.COUNT,
            label="Likes",
            help="How often it was liked.",
            columns=("likes", "number_of_likes", "interaction_statistic"),
            filterable=True,
            sortable=True,
            sorts=("Most liked", "Least liked"),
            units=("like", "likes"),
            address="likes",
        ),
        Field(
            name="channel_id",
            kind=FieldKind.KEYWORD,
            label="Channel's id",
            help="The id of its channel.",
            columns=("uploader_id",),
            filterable=True,
        ),
        Field(
            name="playlist",
            kind=FieldKind.KEYWORD,
            label="Playlist",
            help="The playlist or series that it belongs to.",
            columns=("playlist_title", "series"),
            filterable=True,
            facet=True,
        ),
        Field(
            name="chapters",
            kind=FieldKind.KEYWORDS,
            label="Chapters",
            help="The titles of its chapters.",
        ),
        Field(
            name="embed_url",
            kind=FieldKind.URL,
            label="Player",
            help="Where a player for other pages is.",
            columns=("player_embed_url",),
        ),
    )
)
# Fields of an index whose manifest lists none; it has nothing that was added above later.
FIRST_FIELDS: Final = FIELDS.select(
    "title",
    "channel",
    "category",
    "language",
    "tags",
    "published_at",
    "duration_s",
    "view_count",
    "url",
)
