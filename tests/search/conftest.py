"""The same catalogue of small videos as over HTTP."""

from tests.backend.conftest import (
    app,
    catalogue,
    client,
    data,
    embedded,
    embedded_client,
    reader,
    red_picture,
    searcher,
)

__all__ = [
    "app",
    "catalogue",
    "client",
    "data",
    "embedded",
    "embedded_client",
    "reader",
    "red_picture",
    "searcher",
]
