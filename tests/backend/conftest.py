"""A catalogue of small videos, published in a data directory, and an app over it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.backend.catalogue import Catalogue
from tests.backend.served import publish_embedded
from tests.fakes import MemoryReader, WordEncoder
from twinlens.backend.access import Policy
from twinlens.backend.app import create_app
from twinlens.encoders.lenses import make_own_lenses
from twinlens.events.log import EventLog
from twinlens.events.sqlite_log import EVENTS_FILE, SqliteEventLog
from twinlens.search.published import PublishedIndex
from twinlens.search.rules import NO_GUIDANCE, Guidance
from twinlens.stores.base import StoredVideo, VectorReader
from twinlens.stores.engines import open_reader
from twinlens.stores.generations import DataDir, Manifest

ClientOf = Callable[..., FlaskClient]


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return Catalogue()


@pytest.fixture(scope="session")
def stored(catalogue: Catalogue) -> list[StoredVideo]:
    return catalogue.stored()


@pytest.fixture(scope="session")
def data(catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> DataDir:
    data = DataDir(tmp_path_factory.mktemp("data"))
    catalogue.publish(data, "g1")
    return data


@pytest.fixture(scope="session")
def client_of(catalogue: Catalogue, data: DataDir) -> Iterator[ClientOf]:
    """Makes clients of applications of their own, by a reader, a place and a policy's fields."""
    made: list[PublishedIndex] = []

    def make(
        title_encoder: WordEncoder = catalogue.titles,
        reader: MemoryReader | None = None,
        data: DataDir = data,
        events: EventLog | None = None,
        guidance: Guidance = NO_GUIDANCE,
        **policy: Any,
    ) -> FlaskClient:
        def opened(manifest: Manifest) -> VectorReader:
            if (data.locate_generation(manifest.generation) / "qdrant").exists():
                return open_reader(data, manifest)
            return reader or MemoryReader(catalogue.stored())

        lenses = make_own_lenses(title_encoder, catalogue.thumbnails)
        made.append(PublishedIndex(data, open_reader=opened, open_lenses=lambda *_: lenses))
        events = SqliteEventLog(data.path / EVENTS_FILE) if events is None else events
        app = create_app(
            made[-1],
            thumbnails=data.thumbnails,
            policy=Policy(**policy),
            events=events,
            guidance=guidance,
        )
        return app.test_client()

    yield make
    for index in made:
        index.close()


@pytest.fixture(scope="session")
def embedded(catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> DataDir:
    """The catalogue as a real embedded generation, which tests read and never change."""
    return publish_embedded(catalogue, tmp_path_factory.mktemp("embedded"))


@pytest.fixture(scope="session")
def client(client_of: ClientOf, embedded: DataDir) -> FlaskClient:
    """A client of an app over the real embedded engine."""
    return client_of(data=embedded)
