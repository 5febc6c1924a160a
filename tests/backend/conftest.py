"""A catalogue of small videos, published in a data directory, and an app over it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.backend.catalogue import COLOURS, Catalogue, picture_bytes
from tests.backend.served import publish_embedded
from tests.fakes import MemoryReader, WordEncoder
from twinlens.backend.access import Policy
from twinlens.backend.app import create_app
from twinlens.encoders.lenses import own_lenses
from twinlens.search.published import PublishedIndex
from twinlens.search.searcher import Searcher
from twinlens.stores.engines import open_reader
from twinlens.stores.generations import DataDir


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return Catalogue()


@pytest.fixture(scope="session")
def reader(catalogue: Catalogue) -> MemoryReader:
    return MemoryReader(catalogue.stored())


@pytest.fixture
def searcher(catalogue: Catalogue, reader: MemoryReader) -> Searcher:
    reader.searches.clear()
    return Searcher(
        reader,
        generation="g1",
        lenses=own_lenses(catalogue.titles, catalogue.thumbnails),
    )


@pytest.fixture(scope="session")
def data(catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> DataDir:
    data = DataDir(tmp_path_factory.mktemp("data"))
    catalogue.publish(data, "g1")
    return data


@pytest.fixture(scope="session")
def app(catalogue: Catalogue, data: DataDir) -> Iterator[Flask]:
    index = PublishedIndex(
        data,
        open_reader=lambda manifest: MemoryReader(catalogue.stored()),
        lenses=own_lenses(catalogue.titles, catalogue.thumbnails),
    )
    yield create_app(index, thumbnails=data.thumbnails)
    index.close()


@pytest.fixture
def client_of(catalogue: Catalogue, data: DataDir) -> Iterator[Callable[..., FlaskClient]]:
    """Makes clients of applications of their own, by a reader and a policy's fields."""
    made: list[PublishedIndex] = []

    def make(
        title_encoder: WordEncoder = catalogue.titles,
        reader: MemoryReader | None = None,
        **policy: Any,
    ) -> FlaskClient:
        index = PublishedIndex(
            data,
            open_reader=lambda manifest: reader or MemoryReader(catalogue.stored()),
            lenses=own_lenses(title_encoder, catalogue.thumbnails),
        )
        made.append(index)
        app = create_app(index, thumbnails=data.thumbnails, policy=Policy(**policy))
        return app.test_client()

    yield make
    for index in made:
        index.close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture(scope="session")
def embedded(catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> DataDir:
    """The catalogue as a real embedded generation, which tests read and never change."""
    data = DataDir(tmp_path_factory.mktemp("embedded"))
    publish_embedded(catalogue, data, "g1")
    return data


@pytest.fixture(scope="session")
def embedded_client(catalogue: Catalogue, embedded: DataDir) -> Iterator[FlaskClient]:
    """A client of an app over the real embedded engine."""
    index = PublishedIndex(
        embedded,
        open_reader=lambda manifest: open_reader(embedded, manifest),
        lenses=own_lenses(catalogue.titles, catalogue.thumbnails),
    )
    yield create_app(index, thumbnails=embedded.thumbnails).test_client()
    index.close()


@pytest.fixture
def red_picture() -> bytes:
    return picture_bytes(COLOURS["kitchen"], shade=4)
