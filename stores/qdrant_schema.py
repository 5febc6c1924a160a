"""What Qdrant is told about our videos, embedded and as a server alike."""

from __future__ import annotations

from typing import Final, Literal

FieldKind = Literal["keyword", "datetime", "float", "integer"]

# Made before the first upload: an index that exists before the HNSW graph is built lets Qdrant add
# the links that keep filtered searches connected.
PAYLOAD_INDEXES: Final[dict[str, FieldKind]] = {
    "video_id": "keyword",
    "channel": "keyword",
    "category": "keyword",
    "language": "keyword",
    "tags": "keyword",
    "published_at": "datetime",
    "duration_s": "float",
    "view_count": "integer",
}

HNSW_M: Final = 16
HNSW_EF_CONSTRUCT: Final = 100
# In KB of one vector's values: below it Qdrant scans exactly and builds no graph.
FULL_SCAN_THRESHOLD_KB: Final = 10_000
