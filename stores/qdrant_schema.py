"""The schema of our videos in Qdrant, the same embedded and in a server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from twinlens.catalog.fields import FieldKind, Fields
from twinlens.catalog.video import THUMBNAIL_FILE

IndexKind = Literal["keyword", "datetime", "float", "integer", "bool"]
_INDEX_KINDS: Final[Mapping[FieldKind, IndexKind]] = {
    FieldKind.KEYWORD: "keyword",
    FieldKind.KEYWORDS: "keyword",
    FieldKind.MOMENT: "datetime",
    FieldKind.DURATION: "float",
    FieldKind.COUNT: "integer",
}

HNSW_M: Final = 16
HNSW_EF_CONSTRUCT: Final = 100
# In KB of one vector's values: below it Qdrant scans exactly and builds no graph.
FULL_SCAN_THRESHOLD_KB: Final = 10_000


def list_payload_indexes(fields: Fields) -> dict[str, IndexKind]:
    """Return the payload indexes that filters, orders and counts of ``fields`` need.

    They are made before the first upload: an index that exists before the HNSW graph is built lets
    Qdrant add the links that keep filtered searches connected.
    """
    return {
        "video_id": "keyword",
        # Of no truth value at all: every index also keeps which videos have the field.
        THUMBNAIL_FILE: "bool",
        **{row.name: _INDEX_KINDS[row.kind] for row in fields if row.is_indexed},
    }
