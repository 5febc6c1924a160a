"""Generations on disk: what is published, what is being built, and how one becomes the other.

::

    data/
      CURRENT                    names the published generation; replaced atomically
      index.lock                 held by the one job that may write
      generations/<utc time>-<id>/
        build.json               there only while the generation is being built, or removed
        ledger.sqlite            what was indexed from what, for the next incremental run
        manifest.json            written when everything else is complete
        qdrant/                  the embedded shard (absent with a server)
        faiss/                   the mirror
      thumbnails/<sha256>.<ext>  content-addressed, shared by generations
      onnx/<fingerprint>-...     title models as graphs, if title_runtime asks for them
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

from twinlens.catalog.errors import IndexLocked, NoGeneration, StoreCorrupt
from twinlens.catalog.fields import FIELDS, FIRST_FIELDS, Fields
from twinlens.catalog.files import locked, sync_directory, write_atomically
from twinlens.catalog.video import VectorName

BUILD_FILE: Final = "build.json"


class Fingerprinted(Protocol):
    """What the comparison of an encoder with a manifest reads."""

    @property
    def name(self) -> str:
        """What gets it again: a packaged name, one of the hub, or a path."""
        ...

    @property
    def fingerprint(self) -> str:
        """What identifies its vectors."""
        ...


@dataclass(frozen=True, slots=True)
class EncoderRecord:
    """Which encoder made the vectors of one name."""

    name: str
    fingerprint: str
    dim: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a published generation says of itself.

    ``engine`` is ``embedded`` or ``server``; ``collection`` is the server's, else None. ``words``
    is the fingerprint of what made the words; a generation older than these has none. ``counts``
    has ``videos``, ``title``, ``thumbnail`` and ``words``. ``timings_s`` holds seconds per stage
    of the job. ``fields`` are those that its videos have.
    """

    generation: str
    created_at: str
    engine: str
    collection: str | None
    encoders: Mapping[VectorName, EncoderRecord]
    counts: Mapping[str, int]
    source: str
    versions: Mapping[str, str]
    timings_s: Mapping[str, float]
    words: str | None = None
    fields: Fields = FIELDS

    @property
    def dims(self) -> dict[VectorName, int]:
        """Vector length by name."""
        return {name: record.dim for name, record in self.encoders.items()}

    def differences(self, encoders: Mapping[VectorName, Fingerprinted], *, words: str) -> list[str]:
        """What would come out otherwise with ``encoders`` and ``words``, a phrase each."""
        changed = [
            f"{name}: {record.name} ({record.fingerprint}) became "
            f"{encoders[name].name} ({encoders[name].fingerprint})"
            for name, record in self.encoders.items()
            if record.fingerprint != encoders[name].fingerprint
        ]
        if self.words != words:
            changed.append(f"words: {self.words or 'none'} became {words}")
        return changed

    def to_json(self) -> dict[str, Any]:
        """The manifest as JSON values; ``from_json`` is its inverse."""
        return asdict(self) | {"fields": self.fields.to_json()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Manifest:
        """A manifest from JSON values.

        Raises:
            KeyError, TypeError, ValueError: the values are not a manifest's.
        """
        encoders = {
            VectorName(name): EncoderRecord(**record) for name, record in values["encoders"].items()
        }
        fields = Fields.from_json(values["fields"]) if "fields" in values else FIRST_FIELDS
        return cls(**{**values, "encoders": encoders, "fields": fields})


class DataDir:
    """The data directory: paths, the published generation, and the job's lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.thumbnails = path / "thumbnails"
        self.graphs = path / "onnx"
        self.generations = path / "generations"
        self.current_file = path / "CURRENT"
        self.fetched = path / "fetched"

    def current(self) -> str | None:
        """The published generation's name, or None where nothing is published yet."""
        try:
            name = self.current_file.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None
        except UnicodeDecodeError as error:
            raise StoreCorrupt(f"{self.current_file} does not name a generation") from error
        if not name or "/" in name or name.startswith("."):
            raise StoreCorrupt(f"{self.current_file} does not name a generation: {name!r}")
        return name

    def valid_current(self) -> str | None:
        """The published generation's name; None also where what ``CURRENT`` says is no such one."""
        try:
            name = self.current()
        except StoreCorrupt:
            return None
        return name if name is not None and self._has_manifest(name) else None

    def generation_path(self, generation: str) -> Path:
        """Where a generation lies."""
        return self.generations / generation

    def mirror_path(self, generation: str) -> Path:
        """Where a generation's FAISS mirror lies."""
        return self.generation_path(generation) / "faiss"

    def manifest(self, generation: str) -> Manifest:
        """What a finished generation says of itself.

        Raises:
            StoreCorrupt: no manifest, or not one.
        """
        path = self.generation_path(generation) / "manifest.json"
        try:
            return Manifest.from_json(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            raise StoreCorrupt(
                f"{self.current_file} names generation {generation}, but {path} is missing"
            ) from error
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise StoreCorrupt(f"{path} can't be read: {error!r}") from error

    def published(self) -> Manifest:
        """The published generation's manifest.

        Raises:
            NoGeneration: nothing has been published here.
        """
        generation = self.current()
        if generation is None:
            raise NoGeneration(
                f"no index in {self.path.resolve()}: run `twinlens index SOURCE` first, "
                "or name another directory with --data-dir"
            )
        return self.manifest(generation)

    def publish(self, manifest: Manifest) -> None:
        """Make a finished generation the published one: its manifest, then ``CURRENT``."""
        write_atomically(
            self.generation_path(manifest.generation) / "manifest.json",
            json.dumps(manifest.to_json(), indent=2, ensure_ascii=False) + "\n",
        )
        sync_directory(self.generations)
        write_atomically(self.current_file, manifest.generation + "\n")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the only right to write here; the system lets go of it when the process dies.

        Raises:
            IndexLocked: another job holds it.
        """
        with locked(
            self.path / "index.lock",
            lambda holder: IndexLocked(
                f"another indexing job (process {holder}) is writing to "
                f"{self.path.resolve()}; wait for it to end, or use another --data-dir"
            ),
        ):
            yield

    def names(self) -> list[str]:
        """Every generation on disk, finished or not, oldest first."""
        if not self.generations.is_dir():
            return []
        return sorted(entry.name for entry in self.generations.iterdir() if entry.is_dir())

    def is_unfinished(self, generation: str) -> bool:
        """Whether a generation is being built, or being removed, or holds nothing."""
        path = self.generation_path(generation)
        return (path / BUILD_FILE).exists() or not any(path.iterdir())

    def finished(self) -> list[str]:
        """Every generation that was finished once, damaged or not, oldest first."""
        return [
            name
            for name in self.names()
            if self._has_manifest(name) or not self.is_unfinished(name)
        ]

    def refuse_unpublished(self, generations: Collection[str]) -> None:
        """Return if ``CURRENT`` is right, or if there is neither one nor any of ``generations``.

        Raises:
            NoGeneration: it is not known which of them was published.
        """
        if self.valid_current() is not None or not (generations or self.current_file.exists()):
            return
        there = ", ".join(
            name if self._has_manifest(name) else f"{name} (damaged: no manifest)"
            for name in sorted(generations)
        )
        raise NoGeneration(
            f"{self.current_file} doesn't name a finished generation; there are: "
            f"{there or 'none'}. To publish one, write its name into this file; or add --fresh, "
            "which indexes this source alone and keeps what is there"
        )

    def remove(self, generation: str) -> None:
        """Delete a generation's files; a kill on the way leaves nothing that looks finished."""
        path = self.generation_path(generation)
        with suppress(FileNotFoundError):
            # As a build that nothing can continue. A rename needs no room, should the disk be full.
            (path / "manifest.json").replace(path / BUILD_FILE)
        for entry in path.iterdir() if path.is_dir() else ():
            if entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)
            elif entry.name != BUILD_FILE:
                with suppress(OSError):
                    entry.unlink()
        shutil.rmtree(path, ignore_errors=True)

    def _has_manifest(self, generation: str) -> bool:
        return (self.generation_path(generation) / "manifest.json").is_file()


def new_generation_name(now: datetime) -> str:
    """A name that sorts by time and is never given twice: ``20261121T083000.123Z-5f2c9a``."""
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3]
    return f"{stamp}Z-{secrets.token_hex(3)}"
