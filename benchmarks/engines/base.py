"""The seam of a comparison: an engine whose index is built once, and then searched.

What is compared is read from data: engines, what they are built with, how they are searched.
"""

from __future__ import annotations

import pkgutil
import tomllib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import Field, TypeAdapter, ValidationError

from twinlens.benchmarks.engines.record import Built, Form, Setting
from twinlens.benchmarks.engines.vectors import VectorSet
from twinlens.catalog.errors import UsageError
from twinlens.catalog.vectors import Vector

EXPERIMENTS: Final = Path(__file__).with_name("experiments.toml")
_HERE: Final = "twinlens.benchmarks.engines"
_SERVER: Final = "qdrant-server"
# Imported in the process that measures an engine, so that none carries the libraries of another.
_CLASSES: Final = {
    "faiss": f"{_HERE}.faiss_engine:Faiss",
    "qdrant-embedded": f"{_HERE}.embedded_engine:Embedded",
    _SERVER: f"{_HERE}.server_engine:Server",
}


class EngineQuery(NamedTuple):
    """The nearest by the vector ``name`` among those that the filter ``share`` lets through."""

    name: str
    vector: Vector
    limit: int
    setting: Setting
    share: float | None = None


class EngineAnswer(NamedTuple):
    """What was found, best first, and the engine's own time where it tells it."""

    ids: Sequence[int]
    scores: Sequence[float]
    server_ms: float | None = None


class MeasuredEngine(ABC):
    """One engine over one set of vectors, whose index lies in ``directory``.

    ``build`` is what the index is made with. It is made once, by ``upload``; after that any number
    of processes ``open`` it and ``search``, each with one thread inside the engine unless the
    engine says otherwise.
    """

    def __init__(self, vectors: VectorSet, directory: Path, *, build: Mapping[str, Any]) -> None:
        self.vectors = vectors
        self.directory = directory
        self.build = dict(build)

    @abstractmethod
    def upload(self, *, threads: int) -> Built:
        """Make the whole index with so many threads, keep it, and let go of it.

        What it took, without bytes.

        Raises:
            EngineFailed: the engine did not build what it was told to.
        """

    @abstractmethod
    def open(self) -> None:
        """Make the kept index searchable."""

    @abstractmethod
    def search(self, query: EngineQuery) -> EngineAnswer:
        """Return the answer to one query."""

    @abstractmethod
    def search_many(self, queries: Sequence[EngineQuery]) -> list[EngineAnswer]:
        """Return the answers to queries without filters that are handed over in one call.

        Their own time, where the engine tells it, is that of the whole call.
        """

    def measure_disk(self) -> int | None:
        """Return what the kept index takes on disk, or None where nobody can say."""
        files = (file for file in self.directory.rglob("*") if file.is_file())
        return sum(file.stat().st_blocks * 512 for file in files)

    def close(self) -> None:  # noqa: B027 - some have nothing to let go of
        """Let go of the index."""


class Experiment(Form):
    """A row of ``experiments.toml``, which says what each field means.

    ``engine`` may also be the place of another class, as ``package.module:Class``.
    """

    name: str
    label: str
    engine: str
    build: dict[str, bool | int | float | str]
    searches: list[Setting]
    environment: dict[str, str] = Field(default_factory=dict)
    index_of: str | None = None

    @property
    def on_server(self) -> bool:
        """Whether its index lies on a server, and not in the work directory."""
        return "url" in self.build

    @property
    def settings(self) -> dict[str, Setting]:
        """The settings by what a result calls them, in order."""
        return {name_setting(one): one for one in self.searches}

    def make(self, vectors: VectorSet) -> MeasuredEngine:
        """Return the engine over these vectors, with its index in a folder beside them."""
        engine = pkgutil.resolve_name(_CLASSES.get(self.engine, self.engine))
        made: MeasuredEngine = engine(vectors, vectors.path / self.name, build=self.build)
        return made


def read_experiments(path: Path = EXPERIMENTS, *, url: str | None = None) -> list[Experiment]:
    """Return the rows of a file; those of a server only where its ``url`` is given.

    Raises:
        UsageError: the file is no TOML, or a row is not of this form.
    """
    try:
        rows = tomllib.loads(path.read_text(encoding="utf-8")).get("experiment", [])
        experiments = TypeAdapter(list[Experiment]).validate_python(rows)
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise UsageError(f"{path}: {error}") from error
    for one in experiments:
        if one.engine == _SERVER and url:
            one.build["url"] = url
    return [one for one in experiments if one.engine != _SERVER or url]


def choose_experiments(there: Sequence[Experiment], asked: Sequence[str]) -> list[Experiment]:
    """Those that are asked for by name, or by how their name begins; all where none is asked for.

    Raises:
        UsageError: there is none of that name.
    """
    names = [one.name for one in there]
    for one in asked:
        if not one or not any(name.startswith(one) for name in names):
            raise UsageError(f"--engine {one}: there are {', '.join(names)}")
    # A whole name is meant as it is, though others begin so.
    beginnings = tuple(one for one in asked if one not in names) if asked else ("",)
    return [one for one in there if one.name in asked or one.name.startswith(beginnings)]


def digest_experiments(experiments: Sequence[Experiment]) -> str:
    """Return a digest of rows: how they are built and searched, and on which server."""
    rows = "".join(one.model_dump_json() for one in experiments)
    return blake2b(rows.encode(), digest_size=8).hexdigest()


def name_setting(setting: Setting) -> str:
    """Name a setting as results do: ``exact``, ``ef 64``, ``ef 64, 2x rescored``, ``scan``."""
    if setting.get("exact"):
        return "exact"
    named = ", ".join(f"{key} {setting[key]}" for key in ("ef", "nprobe") if key in setting)
    if not setting.get("rescore", True):
        return f"{named}, not rescored"
    if "oversampling" in setting:
        return f"{named}, {setting['oversampling']:g}x rescored"
    return named or "scan"
