"""Search and recommendation for videos, by title and by thumbnail.

The names of ``__all__`` are the public ones, and stay. Each is imported when it is first used, so
that ``import twinlens`` loads nothing heavy::

    import twinlens

    with twinlens.open_index("data") as index:
        for hit in index.search(twinlens.SearchRequest(text="cricket match")).hits:
            print(hit.rank, hit.score, hit.payload["title"])
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from twinlens.catalog.errors import TwinLensError, UnencodableItems
    from twinlens.catalog.vectors import to_sparse_vector, unit_rows
    from twinlens.catalog.video import Video
    from twinlens.encoders.lens import Lens, LensOptions, Picture, Query
    from twinlens.encoders.load import load_thumbnail_encoder, load_title_encoder
    from twinlens.evaluate.known_items import make_known_item_tasks
    from twinlens.evaluate.search import measure_search
    from twinlens.evaluate.tasks import read_corpus
    from twinlens.search.fusion import FusedVideo, Ranking, fuse
    from twinlens.search.index import Index, open_index
    from twinlens.search.request import (
        Hit,
        MultiSearchRequest,
        RecommendationRequest,
        SearchRequest,
        SearchResult,
        VideoNotFound,
    )
    from twinlens.stores.base import ScoredVideo
    from twinlens.stores.filters import And, AnyOf, Not, Or, Range

__version__ = "0.1.0"

__all__ = [
    "And",
    "AnyOf",
    "FusedVideo",
    "Hit",
    "Index",
    "Lens",
    "LensOptions",
    "MultiSearchRequest",
    "Not",
    "Or",
    "Picture",
    "Query",
    "Range",
    "Ranking",
    "RecommendationRequest",
    "ScoredVideo",
    "SearchRequest",
    "SearchResult",
    "TwinLensError",
    "UnencodableItems",
    "Video",
    "VideoNotFound",
    "__version__",
    "fuse",
    "load_thumbnail_encoder",
    "load_title_encoder",
    "make_known_item_tasks",
    "measure_search",
    "open_index",
    "read_corpus",
    "to_sparse_vector",
    "unit_rows",
]

_MODULES: Final = {
    "catalog.errors": ["TwinLensError", "UnencodableItems"],
    "catalog.vectors": ["to_sparse_vector", "unit_rows"],
    "catalog.video": ["Video"],
    "encoders.lens": ["Lens", "LensOptions", "Picture", "Query"],
    "encoders.load": ["load_thumbnail_encoder", "load_title_encoder"],
    "evaluate.known_items": ["make_known_item_tasks"],
    "evaluate.search": ["measure_search"],
    "evaluate.tasks": ["read_corpus"],
    "search.fusion": ["FusedVideo", "Ranking", "fuse"],
    "search.index": ["Index", "open_index"],
    "search.request": [
        "Hit",
        "MultiSearchRequest",
        "RecommendationRequest",
        "SearchRequest",
        "SearchResult",
        "VideoNotFound",
    ],
    "stores.base": ["ScoredVideo"],
    "stores.filters": ["And", "AnyOf", "Not", "Or", "Range"],
}
_MODULE_OF: Final = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
