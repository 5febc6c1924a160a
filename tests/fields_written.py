"""The fields, as docs and client.d.ts have them; ``python -m tests.fields_written`` writes them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from twinlens.backend.site import STATIC, write_types
from twinlens.catalog.fields import FIELDS, Field, FieldKind, Fields
from twinlens.catalog.sources.columns import Columns
from twinlens.encoders.lenses import find_lenses

API = Path(__file__).parents[1] / "docs" / "api.md"
TYPES = STATIC / "client.d.ts"
FILTERED = {
    "words": "a string, or a list of up to 100 of which one is enough",
    "numbers": 'a number, or bounds: `{"gte": 1000, "lt": 5000}`',
    "moments": "bounds in RFC 3339 with an offset, or of a date, which is a whole day in UTC: "
    '`{"gte": "2024-01-01T05:30:00+05:30", "lte": "2024-01-31"}`',
}
COUNTED = (
    "`values`: how many videos have each value, the most frequent first, ties by value, at most "
    "100. Videos without the field don't count"
)
BOUNDED = "`min` and `max`; null where no video has the field"


def api_with(text: str, fields: Fields) -> str:
    """The documentation with the tables of ``fields``."""
    blocks = {"fields": field_rows, "filters": filter_rows, "facets": facet_rows}
    for name, rows in blocks.items():
        pattern = rf"(<!-- {name} -->\n).*?(\n<!-- end of {name} -->)"
        written = "\n".join(rows(fields))
        text, found = re.subn(
            pattern, lambda at, new=written: at[1] + new + at[2], text, flags=re.DOTALL
        )
        assert found == 1, name
    return text


def field_rows(fields: Fields) -> Iterable[str]:
    yield "| Field | | Kind | Filter | Sort | Facet | Columns of a source |"
    yield "|---|---|---|---|---|---|---|"
    for row in fields:
        columns = listed(Columns(fields).list_names(row.name))
        can = ["yes" if able else "" for able in (row.filterable, row.sortable, row.facet)]
        cells = [f"`{row.name}`", row.help, row.kind, *can, columns]
        yield f"| {' | '.join(cells)} |".replace("  ", " ")


def filter_rows(fields: Fields) -> Iterable[str]:
    yield "| Field | Takes |"
    yield "|---|---|"
    for way, takes in FILTERED.items():
        if named := [row for row in fields.filterable if way_of(row) == way]:
            yield f"| {listed(row.name for row in named)} | {takes} |"
    yield "| `has_thumbnail` | true or false: with a picture, or without |"
    yield "| `and`, `or` | a list of filters, of which all hold, or at least one |"
    yield "| `not` | a filter that does not hold |"


def facet_rows(fields: Fields) -> Iterable[str]:
    yield "| Field | Answer |"
    yield "|---|---|"
    for rows, answer in (
        (fields.counted, COUNTED),
        ([row for row in fields.facets if row.kind.is_ordered], BOUNDED),
    ):
        if rows:
            yield f"| {listed(row.name for row in rows)} | {answer} |"


def way_of(row: Field) -> str:
    if row.kind is FieldKind.MOMENT:
        return "moments"
    return "numbers" if row.kind.is_ordered else "words"


def listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def written(fields: Fields) -> dict[Path, str]:
    """The files as ``fields`` have them."""
    text = api_with(API.read_text(encoding="utf-8"), fields)
    return {API: text, TYPES: write_types(fields, tuple(find_lenses()))}


def stale(fields: Fields = FIELDS) -> Sequence[Path]:
    """The files that say other than ``fields`` do."""
    files = written(fields).items()
    return [path for path, text in files if path.read_text(encoding="utf-8") != text]


def write() -> None:
    for path, text in written(FIELDS).items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
