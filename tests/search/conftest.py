"""The same catalogue of small videos as over HTTP."""

from tests.backend.conftest import catalogue, data, embedded, reader, red_picture, searcher

__all__ = ["catalogue", "data", "embedded", "reader", "red_picture", "searcher"]
