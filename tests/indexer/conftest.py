"""A small catalogue on disk, and jobs over it with encoders that count what they encode."""

import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.catalog.encoded import picture
from tests.fakes import ColourEncoder, WordEncoder
from tests.stores.conftest import NEEDS_SERVER, process, server, shard_path
from twinlens.catalog.errors import StoreError, UnencodableItems
from twinlens.catalog.sources import RejectsFile, open_source
from twinlens.catalog.vectors import FloatMatrix
from twinlens.encoders.lens import Lenses
from twinlens.encoders.lenses import WORDS, WordsLens, make_own_lenses
from twinlens.indexer.build import LEDGER_FILE
from twinlens.indexer.job import IndexJob, JobOptions, JobSummary
from twinlens.indexer.ledger import Ledger
from twinlens.indexer.verify import compare_stores
from twinlens.stores.base import VectorReader
from twinlens.stores.engines import EmbeddedEngine, Engine, ServerEngine
from twinlens.stores.flat import FlatReader
from twinlens.stores.generations import DataDir
from twinlens.stores.server_client import ServerClient

__all__ = ["process", "server", "shard_path"]  # fixtures


class CountingTitles(WordEncoder):
    """Remembers what it was asked to encode."""

    def __init__(
        self, *, dim: int = 16, fingerprint: str = "1" * 16, fail_after: int | None = None
    ) -> None:
        super().__init__(dim=dim, fingerprint=fingerprint)
        self.fail_after = fail_after
        self.encoded: list[str] = []

    def encode(self, items: Sequence[str]) -> FloatMatrix:
        if self.fail_after is not None and len(self.encoded) >= self.fail_after:
            raise RuntimeError("the encoder broke down")
        if bad := [row for row, title in enumerate(items) if "UNENCODABLE" in title]:
            raise UnencodableItems(bad)
        self.encoded += items
        return super().encode(items)


class CountingThumbnails(ColourEncoder):
    """Counts what it was asked to encode."""

    encoded = 0

    def encode(self, items: Sequence[Image.Image]) -> FloatMatrix:
        self.encoded += len(items)
        return super().encode(items)


def jpeg(colour: tuple[int, int, int]) -> bytes:
    return picture(size=(32, 18), colour=colour)


class Catalogue:
    """An imagefolder source that a test may change between jobs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[str, dict[str, object]] = {}
        self.more: list[str] = []  # lines behind the rows, of any kind
        path.mkdir()

    def add(self, video_id: str, *, picture: bytes | None = None, **fields: object) -> None:
        self.rows[video_id] = {"video_id": video_id, "title": f"Title of {video_id}", **fields}
        if picture is not None:
            (self.path / f"{video_id}.jpg").write_bytes(picture)
            self.rows[video_id]["file_name"] = f"{video_id}.jpg"

    def add_titles(self, numbers: Iterable[int], title: str = "Title {}", **fields: object) -> None:
        for number in numbers:
            self.add(f"video{number}", title=title.format(number), **fields)

    def write(self) -> str:
        lines = [json.dumps(row) for row in self.rows.values()] + self.more
        (self.path / "metadata.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return str(self.path)


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    made = Catalogue(tmp_path / "source")
    for number in range(10):
        made.add(f"video{number}", picture=jpeg((number * 25, 100, 255 - number * 25)))
    return made


@pytest.fixture
def data(shard_path: Path) -> DataDir:
    return DataDir(shard_path / "data")


@pytest.fixture
def alias() -> str:
    """What stands for the published collection on a server."""
    return f"twinlens-test-{uuid.uuid4().hex}"


@pytest.fixture(params=["embedded", "process", pytest.param("server", marks=NEEDS_SERVER)])
def engine(request: pytest.FixtureRequest, data: DataDir, alias: str) -> Iterator[Engine]:
    """Each engine; a server's collections are removed afterwards."""
    if request.param == "embedded":
        yield EmbeddedEngine(data)
        return
    client: ServerClient = request.getfixturevalue(request.param)
    yield ServerEngine(client, collection=alias)
    for collection in client.list_collections(alias):
        client.delete_collection(collection)


@pytest.fixture
def break_off(
    catalogue: Catalogue, run_job: Callable[..., JobSummary]
) -> Callable[[], CountingTitles]:
    """Runs a job over 200 videos that breaks down after a hundred; gives what it has encoded."""

    def run() -> CountingTitles:
        catalogue.add_titles(range(10, 200))
        titles = CountingTitles(fail_after=100)
        with pytest.raises(RuntimeError, match="broke down"):
            run_job(titles)
        return titles

    return run


def index(
    source: str, data: DataDir, engine: Engine, lenses: Lenses, progress: Any = id, **options: bool
) -> JobSummary:
    job = IndexJob(data, engine, lenses, JobOptions(source_name=source, **options))
    rejects = RejectsFile(data.path / "rejects.jsonl")
    return job.run(open_source(source), rejects, progress=progress)


@pytest.fixture
def run_job(catalogue: Catalogue, data: DataDir, engine: Engine) -> Callable[..., JobSummary]:
    def run(
        titles: CountingTitles | None = None,
        thumbnails: CountingThumbnails | None = None,
        **options: Any,
    ) -> JobSummary:
        lenses = make_own_lenses(titles or CountingTitles(), thumbnails or CountingThumbnails())
        return index(catalogue.write(), data, engine, lenses, **options)

    return run


def count_stored(data: DataDir) -> int:
    """How many videos the build that is under way has stored."""
    for path in data.generations.glob("*/build.json"):
        try:
            with closing(Ledger(path.with_name(LEDGER_FILE), read_only=True)) as ledger:
                return ledger.count()
        except StoreError:  # caught while it is being made
            return 0
    return 0


class Published:
    """The published generation, as a reader sees it."""

    def __init__(self, data: DataDir, engine: Engine) -> None:
        self._data = data
        self._engine = engine

    def _reader(self) -> closing[VectorReader]:
        return closing(self._engine.open_reader(self._data.read_published().generation))

    def vectors(self) -> dict[str, set[str]]:
        """The videos, with the names of the vectors that each has."""
        with self._reader() as reader:
            return {
                video.video_id: set(video.vectors)
                for batch in reader.scan(with_vectors=True)
                for video in batch
            }

    def payload(self, video_id: str) -> Mapping[str, Any]:
        with self._reader() as reader:
            return reader.get([video_id])[video_id].payload

    def differences(self) -> list[str]:
        manifest = self._data.read_published()
        mirror_path = self._data.locate_mirror(manifest.generation)
        with self._reader() as reader, closing(FlatReader.open(mirror_path)) as mirror:
            return compare_stores(reader, mirror, manifest.dims, sparse={WORDS: WordsLens()})


@pytest.fixture
def published(data: DataDir, engine: Engine) -> Published:
    return Published(data, engine)
