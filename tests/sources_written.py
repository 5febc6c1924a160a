"""docs/sources.md as the code has it; ``python -m tests.sources_written`` writes it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

from tests.fields_written import listed
from twinlens.catalog.fields import FIELDS
from twinlens.catalog.sources.archives import ARCHIVE_SUFFIXES
from twinlens.catalog.sources.columns import COLUMN_UNITS, Columns
from twinlens.catalog.sources.files import BOOK_SUFFIXES, TABLE_SUFFIXES
from twinlens.catalog.sources.json_table import CONTAINERS, WRAPPERS
from twinlens.catalog.sources.platforms import PLATFORMS
from twinlens.catalog.sources.values import NO_VALUE

PAGE = Path(__file__).parents[1] / "docs" / "sources.md"
FORMATS = {
    "Parquet": [".parquet"],
    "JSON, JSON Lines": [s for s in TABLE_SUFFIXES if "json" in s],
    "CSV": [s for s in TABLE_SUFFIXES if "sv" in s],
    "Excel, the first sheet with a title": [".xlsx"],
    "SQLite, its table of videos, or `--query`": [s for s in BOOK_SUFFIXES if s != ".xlsx"],
    "PostgreSQL, by `--query`; needs `pip install 'twinlens[postgres]'`": ["postgresql://…"],
    "archives of a folder with any of these": list(ARCHIVE_SUFFIXES),
    "data sets of the Hugging Face hub": ["hf:OWNER/NAME"],
}


def format_rows() -> Iterable[str]:
    yield "| Format | Called |"
    yield "|---|---|"
    for name, suffixes in FORMATS.items():
        yield f"| {name} | {listed(suffixes)} |"


def column_rows() -> Iterable[str]:
    columns = Columns(FIELDS)
    yield "| Field | Kind | Columns |"
    yield "|---|---|---|"
    for name in ("video_id", "thumbnail", "thumbnail_url", *FIELDS.names):
        kind = FIELDS[name].kind if name in FIELDS else "id" if name == "video_id" else "picture"
        yield f"| `{name}` | {kind} | {listed(columns.list_names(name))} |"


def platform_rows() -> Iterable[str]:
    for platform in PLATFORMS:
        yield f"**{platform.name}**: {platform.source}. Unseen."
        signs = " or ".join(listed(sign) for sign in platform.signs)
        yield f"Told by {signs}."
        named = [f"`{field}` {listed(names)}" for field, names in platform.columns.items() if names]
        yield f"Reads {'; '.join(named)}."
        yield ""


def written() -> str:
    """The page with its tables as the code has them."""
    text = PAGE.read_text(encoding="utf-8")
    units: dict[Decimal, list[str]] = {}
    for name, unit in COLUMN_UNITS.items():
        units.setdefault(unit, []).append(name)
    blocks = {
        "formats": "\n" + "\n".join(format_rows()) + "\n",
        "columns": "\n" + "\n".join(column_rows()) + "\n",
        "platforms": "\n" + "\n".join(platform_rows()),
        "containers": listed(CONTAINERS),
        "wrappers": listed(WRAPPERS),
        "marks": listed(sorted(mark for mark in NO_VALUE if mark)),
        "units": "; ".join(f"{listed(names)}, {unit:f} s" for unit, names in units.items()),
    }
    for name, block in blocks.items():
        pattern = rf"(<!-- {name} -->).*?(<!-- end of {name} -->)"
        text, found = re.subn(
            pattern, lambda at, new=block: at[1] + new + at[2], text, flags=re.DOTALL
        )
        assert found == 1, name
    return text


if __name__ == "__main__":
    PAGE.write_text(written(), encoding="utf-8")
