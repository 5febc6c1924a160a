"""The same catalogue of small videos as over HTTP, and a searcher over it."""

from __future__ import annotations

import pytest

from tests.backend.catalogue import Catalogue
from tests.backend.conftest import catalogue
from tests.fakes import MemoryReader
from twinlens.search.searcher import Searcher

__all__ = ["catalogue"]


@pytest.fixture(scope="session")
def reader(catalogue: Catalogue) -> MemoryReader:
    return MemoryReader(catalogue.stored())


@pytest.fixture
def searcher(catalogue: Catalogue, reader: MemoryReader) -> Searcher:
    reader.searches.clear()
    return Searcher(reader, generation="g1", lenses=catalogue.lenses)
