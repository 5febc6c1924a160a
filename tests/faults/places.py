"""Where an index lies while it is put to the test, and what has to hold for all that is there."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from tests.fakes import ColourEncoder, WordEncoder
from tests.faults.changing import Expected
from tests.folders import files_in
from twinlens.catalog.video import read_thumbnail_file
from twinlens.encoders.lenses import WORDS, WordsLens
from twinlens.indexer.build import open_ledger
from twinlens.indexer.verify import compare_stores
from twinlens.stores.engines import Engine
from twinlens.stores.flat import FlatReader
from twinlens.stores.generations import DataDir
from twinlens.stores.server_client import ServerClient

Videos = Mapping[str, Expected]


@dataclass(frozen=True)
class Place:
    """A data directory and its engine; ``settings`` are what the commands find them by.

    ``client`` asks the server that keeps the vectors, where one does, and ``alias`` is its name of
    the index.
    """

    data: DataDir
    engine: Engine
    settings: Mapping[str, str] = field(default_factory=dict)
    client: ServerClient | None = None
    alias: str = ""

    def require(self, generation: str, expected: Videos) -> None:
        """A generation holds these videos, each once, whole and right, here as in the mirror."""
        manifest = self.data.read_manifest(generation)
        mirror_path = self.data.locate_mirror(generation)
        with (
            closing(self.engine.open_reader(generation)) as reader,
            closing(FlatReader.open(mirror_path)) as mirror,
        ):
            found = [video for batch in reader.scan(with_vectors=True) for video in batch]
            lenses = {WORDS: WordsLens()}
            assert compare_stores(reader, mirror, manifest.dims, sparse=lenses) == []
        assert len(found) == manifest.counts["videos"]
        held = {}
        for video in found:
            assert video.video_id not in held, "there twice"
            file = read_thumbnail_file(video.payload)
            picture = None if file is None else Path(file).stem
            held[video.video_id] = Expected(video.payload["title"], picture)
            if file is not None:
                with Image.open(self.data.thumbnails / file) as opened:
                    colours = ColourEncoder().encode([opened.convert("RGB")])[0]
                assert np.allclose(video.vectors["thumbnail"], colours, atol=0.05)
        assert held == expected
        titles = WordEncoder().encode([video.payload["title"] for video in found])
        assert np.allclose([video.vectors["title"] for video in found], titles, atol=1e-5)

    def require_nothing_else(self, generations: list[str]) -> None:
        """Nothing is there but these generations, whose last is published, and their pictures."""
        self.require_generations(generations)
        assert self.data.read_current() == generations[-1]
        assert not [name for name in generations if self.data.is_unfinished(name)]
        assert list(self.data.path.rglob("*.tmp")) == []
        needed: set[str] = set()
        for name in generations:
            with open_ledger(self.data, name) as ledger:
                needed.update(ledger.thumbnail_files())
        assert {file.name for file in self.data.thumbnails.iterdir()} == needed
        self.require_collections()

    def require_generations(self, generations: list[str]) -> None:
        left = set(self.data.list_generations()) ^ set(generations)
        files = {name: sorted(files_in(self.data.locate_generation(name))) for name in left}
        assert files == {}

    def require_collections(self) -> None:
        """A server has a collection for each generation, and the alias is the published one's."""
        if self.client is not None:
            names = [f"{self.alias}-{name}" for name in self.data.list_generations()]
            assert self.client.list_collections(self.alias) == names
            published = f"{self.alias}-{self.data.read_current()}"
            assert self.client.find_alias_target(self.alias) == published
