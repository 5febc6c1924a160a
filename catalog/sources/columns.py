"""Which column of a source holds which field of a video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from twinlens.catalog.errors import SourceError
from twinlens.catalog.fields import Fields

# Names of columns for what a video has beside its fields, the best first. Names are compared
# without case and punctuation: ``videoId``, ``video_id`` and ``Video ID`` are one.
_ID: Final = ("video_id", "youtube_id", "id")
_PICTURES: Final[Mapping[str, tuple[str, ...]]] = {
    "thumbnail": ("thumbnail", "image", "file_name", "picture", "thumbnail_path", "image_path"),
    "thumbnail_url": ("thumbnail_url", "thumbnail_link", "image_url"),
}


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns to look for: those of ``fields``, by known names or by those of ``mapping``.

    ``mapping`` is from fields of a video to columns.

    Raises:
        SourceError: a key of ``mapping`` is no field of a video; the message lists the fields.
    """

    fields: Fields
    mapping: Mapping[str, str] = field(default_factory=dict)

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

    def resolve(self, names: Sequence[str]) -> dict[str, str]:
        """Return the column for each field that has one: the mapped one, else the best known name.

        Mapped columns that are not among ``names`` are left out; ``require`` complains of them.
        """
        by_plain_name: dict[str, str] = {}
        for name in names:
            by_plain_name.setdefault(_simplify(name), name)
        present = set(names)
        found: dict[str, str] = {}
        for wanted, known in self._list_known_names().items():
            if wanted in self.mapping:
                if self.mapping[wanted] in present:
                    found[wanted] = self.mapping[wanted]
                continue
            for name in known:
                if name in present:
                    found[wanted] = name
                    break
                if _simplify(name) in by_plain_name:
                    found[wanted] = by_plain_name[_simplify(name)]
                    break
        return found

    def require(self, names: Sequence[str], *, where: str) -> None:
        """Return where ``names`` hold every mapped column and something to encode.

        Raises:
            SourceError: a mapped column is missing, one is there twice, or there is no title and
                no thumbnail; the message lists the columns there are.
        """
        there_are = f"its columns: {', '.join(names) or 'none'}"
        for wanted, column in self.mapping.items():
            if column not in names:
                raise SourceError(f"{where} has no column {column!r} (for {wanted}); {there_are}")
        found = self.resolve(names)
        for column in found.values():
            if names.count(column) > 1:
                raise SourceError(f"{where} has more than one column {column!r}; {there_are}")
        looked_at = [row.name for row in self.fields if row.searchable]
        if not any(name in found for name in (*looked_at, *_PICTURES)):
            raise SourceError(
                f"{where} has no column for a title or a thumbnail; {there_are}; "
                "name the right ones, as in title=COLUMN"
            )


def _simplify(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())
