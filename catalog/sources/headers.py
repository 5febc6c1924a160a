"""Which row of a sheet or a CSV names its columns: banners and comments may stand before it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import Final

from twinlens.catalog.fields import FIELDS
from twinlens.catalog.sources.columns import Columns, simplify
from twinlens.catalog.sources.platforms import PLATFORMS

#: So many rows are looked at.
ROWS_PEEKED: Final = 20
# Of rows below a header so many have several cells.
_MOST: Final = 0.8


def find_header(rows: Sequence[Sequence[str]]) -> int:
    """Return which of the first rows is the header; the first, unless there is a sign.

    Signs are the names of columns that are known; and that rows before it are comments, or hold one
    cell where those after it hold several.
    """
    known = [count_known(row) for row in rows]
    best = max(range(len(rows)), key=lambda at: (known[at], -at), default=0)
    if not rows or known[0] >= 2:
        return 0
    if known[best] >= 2:
        return best
    filled = [sum(1 for cell in row if cell.strip()) for row in rows]
    start = next((at for at, row in enumerate(rows) if not _is_comment(row)), 0)
    if not known[start] and filled[start] == filled[0]:
        start = 0
    if known[start] or filled[start] > 1:
        return start
    wide = next((at for at in range(start, len(rows)) if filled[at] > 1), start)
    below = filled[wide + 1 :]
    is_banner = below and sum(count > 1 for count in below) >= _MOST * len(below)
    return wide if is_banner else start


def count_known(row: Sequence[str]) -> int:
    """Return how many cells are names of columns that are understood."""
    return len({simplify(cell) for cell in row} & _list_known())


@cache
def _list_known() -> frozenset[str]:
    columns = Columns(FIELDS)
    names = chain(["video_id", "thumbnail", "thumbnail_url"], FIELDS.names)
    of_fields = chain.from_iterable(map(columns.list_names, names))
    of_platforms = chain.from_iterable(
        chain(chain.from_iterable(platform.columns.values()), chain.from_iterable(platform.signs))
        for platform in PLATFORMS
    )
    return frozenset(simplify(name) for name in chain(of_fields, of_platforms))


def _is_comment(row: Sequence[str]) -> bool:
    return bool(row) and row[0].startswith("#") and len(row[0].strip("# ")) > 0
