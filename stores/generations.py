"""Generations on disk: what is published, what is being built, and how one becomes the other.

::

    data/
      CURRENT                    names the published generation; replaced atomically
      index.lock                 held by the one job that may write
      generations/<utc time>-<id>/
        build.json               there only while the generation is being built, or removed
        ledger.sqlite            what was indexed from what, for the next incremental run
        suggestions.safetensors  titles, channels, tags and words, to suggest them as one types
        checksums.json           of the files beside and below it, once they change no more
        manifest.json            written when everything else is complete
        superseded               names the generation that was published in its place
        qdrant/                  the embedded shard (absent with a server)
        faiss/                   the mirror
        frequencies/<lens>.npy   in how many videos each index of a sparse lens occurs
      thumbnails/<sha256>.<ext>  content-addressed, shared by generations
      takedowns.jsonl            ids of videos that no job may bring back
      rules.toml                 how the owner steers searches, if they wrote one
      calibrations.toml          what says how well hits match, if ``evaluate calibrate`` wrote one
      onnx/<fingerprint>-...     title models as graphs, if title_runtime asks for them
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

from twinlens.catalog.errors import IndexLocked, NoGeneration, StoreCorrupt, StoreError
from twinlens.catalog.fields import FIELDS, FIRST_FIELDS, Fields
from twinlens.catalog.files import hold_lock, sync_directory, write_atomically
from twinlens.catalog.versions import refuse_newer
from twinlens.stores.filters import to_moment

BUILD_FILE: Final = "build.json"
MANIFEST_FILE: Final = "manifest.json"
SUPERSEDED_FILE: Final = "superseded"
SUGGESTIONS_FILE: Final = "suggestions.safetensors"
RULES_FILE: Final = "rules.toml"
CALIBRATIONS_FILE: Final = "calibrations.toml"
# What JSON of another form than a manifest's is met with.
_NOT_ONE: Final = (LookupError, TypeError, ValueError, AttributeError)

# Raised whenever an older program could no longer read a manifest right.
MANIFEST_FORMAT: Final = 3
FREQUENCIES_FORMAT: Final = 1


class Fingerprinted(Protocol):
    """What the comparison of a lens with a manifest reads."""

    @property
    def model(self) -> str:
        """The name that loads its model: a packaged one, one of the hub, or a path."""
        ...

    @property
    def fingerprint(self) -> str:
        """What identifies its vectors."""
        ...


@dataclass(frozen=True, slots=True)
class LensRecord:
    """What made the vectors of one name; ``dim`` is None where they are sparse."""

    model: str
    fingerprint: str
    dim: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a published generation says of itself.

    ``engine`` is ``embedded`` or ``server``; ``collection`` is the server's, else None. ``lenses``
    are those whose vectors it has, by name; ``counts`` has ``videos``, and the vectors of each
    lens. ``timings_s`` holds seconds per stage of the job. ``fields`` are those that its videos
    have. ``checksums`` is the digest of the file with those of its files; None before there were.
    ``frequencies`` is the format of its tables of document frequencies; None before there were:
    then its Qdrant weighs the indices of sparse queries by itself.
    """

    generation: str
    created_at: str
    engine: str
    collection: str | None
    lenses: Mapping[str, LensRecord]
    counts: Mapping[str, int]
    source: str
    versions: Mapping[str, str]
    timings_s: Mapping[str, float]
    fields: Fields = FIELDS
    checksums: str | None = None
    frequencies: int | None = None

    @property
    def dims(self) -> dict[str, int | None]:
        """Vector length by the name of the lens; None where its vectors are sparse."""
        return {name: record.dim for name, record in self.lenses.items()}

    @property
    def made_at(self) -> datetime | None:
        """When it was made, where it says so."""
        return to_moment(self.created_at)

    def list_differences(self, lenses: Mapping[str, Fingerprinted]) -> list[str]:
        """Return a phrase for each lens whose vectors ``lenses`` would make differently."""
        changed = []
        for name in dict.fromkeys((*self.lenses, *lenses)):
            was, now = self.lenses.get(name), lenses.get(name)
            if was is None or now is None or was.fingerprint != now.fingerprint:
                changed.append(f"{name}: {_name_lens(was)} became {_name_lens(now)}")
        return changed

    def may_be_copied(self, lenses: Mapping[str, Fingerprinted]) -> bool:
        """Return whether a generation by ``lenses`` may begin as a copy of this one."""
        return self.frequencies is not None and not self.list_differences(lenses)

    def to_json(self) -> dict[str, Any]:
        """Return the manifest as JSON values; ``from_json`` is its inverse."""
        return {"format": MANIFEST_FORMAT, **asdict(self), "fields": self.fields.to_json()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Manifest:
        """Return a manifest from JSON values, of this format or an older one.

        Raises:
            KeyError, TypeError, ValueError: the values are not a manifest's.
            StoreError: they are of a newer format.
        """
        values = dict(values)
        made_in = values.pop("format", 1)
        refuse_newer("the index has", made_in, MANIFEST_FORMAT)
        if made_in == 1:
            values["lenses"] = _read_lenses_of_format_1(
                values.pop("encoders"), values.pop("words", None)
            )
        lenses = {name: LensRecord(**record) for name, record in values["lenses"].items()}
        fields = Fields.from_json(values["fields"]) if "fields" in values else FIRST_FIELDS
        if missing := {"videos", *lenses} - values["counts"].keys():
            raise ValueError(f"counts of {', '.join(sorted(missing))} are missing")
        # What another version of this format says beside is left where it is.
        known = {name: values[name] for name in cls.__slots__ if name in values}
        return cls(**{**known, "lenses": lenses, "fields": fields})


def _name_lens(lens: Fingerprinted | None) -> str:
    return "none" if lens is None else f"{lens.model} ({lens.fingerprint})"


def _read_lenses_of_format_1(encoders: Mapping[str, Any], words: str | None) -> dict[str, Any]:
    """Titles and thumbnails were encoders with a name; of the words there was a fingerprint."""
    lenses: dict[str, Any] = {
        name: {"model": of["name"], "fingerprint": of["fingerprint"], "dim": of["dim"]}
        for name, of in encoders.items()
    }
    if words is not None:
        lenses["words"] = {"model": "words", "fingerprint": words, "dim": None}
    return lenses


class DataDir:
    """The data directory: paths, the published generation, and the job's lock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.thumbnails = path / "thumbnails"
        self.graphs = path / "onnx"
        self.generations = path / "generations"
        self.current_file = path / "CURRENT"
        self.fetched = path / "fetched"
        self.takedowns_file = path / "takedowns.jsonl"

    def read_current(self) -> str | None:
        """Return the published generation's name, or None where nothing is published yet."""
        try:
            name = self.current_file.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None
        except (UnicodeDecodeError, IsADirectoryError) as error:
            raise StoreCorrupt(f"{self.current_file} does not name a generation") from error
        if not name or "/" in name or name.startswith("."):
            raise StoreCorrupt(f"{self.current_file} does not name a generation: {name!r}")
        return name

    def find_published(self) -> str | None:
        """Return the published generation's name; None if ``CURRENT`` names no finished one."""
        try:
            name = self.read_current()
        except StoreCorrupt:
            return None
        return name if name is not None and self.find_damage(name) is None else None

    def find_damage(self, generation: str) -> str | None:
        """Return why the manifest of a generation can't be read, or None where it can."""
        try:
            self.read_manifest(generation)
        except StoreError as error:
            return str(error)
        return None

    def locate_generation(self, generation: str) -> Path:
        """Return where a generation lies."""
        return self.generations / generation

    def locate_mirror(self, generation: str) -> Path:
        """Return where a generation's FAISS mirror lies."""
        return self.locate_generation(generation) / "faiss"

    def read_manifest(self, generation: str) -> Manifest:
        """Return what a finished generation says of itself.

        Raises:
            StoreCorrupt: no manifest, or not one.
            StoreError: a newer TwinLens made it.
        """
        path = self.locate_generation(generation) / MANIFEST_FILE
        try:
            manifest = Manifest.from_json(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            raise StoreCorrupt(f"generation {generation} has no manifest: {path}") from error
        except (OSError, RecursionError, *_NOT_ONE) as error:
            raise StoreCorrupt(f"{path} can't be read: {error!r}") from error
        if manifest.generation != generation:
            raise StoreCorrupt(f"{path} is that of generation {manifest.generation}")
        return manifest

    def read_published(self) -> Manifest:
        """Return the published generation's manifest.

        Raises:
            NoGeneration: nothing has been published here.
            StoreCorrupt: what is published is not known, or has no manifest that can be read.
        """
        try:
            return self._read_published()
        except StoreCorrupt as error:
            raise StoreCorrupt(
                f"{error}; `twinlens generations` says what `twinlens publish` can publish instead"
            ) from error

    def _read_published(self) -> Manifest:
        generation = self.read_current()
        if generation is None:
            raise NoGeneration(
                f"no index in {self.path.resolve()}: run `twinlens index SOURCE` first, "
                "or name another directory with --data-dir"
            )
        return self.read_manifest(generation)

    def publish(self, manifest: Manifest) -> None:
        """Make a generation that is complete the published one: its manifest, then ``CURRENT``."""
        write_atomically(
            self.locate_generation(manifest.generation) / MANIFEST_FILE,
            json.dumps(manifest.to_json(), indent=2, ensure_ascii=False) + "\n",
        )
        sync_directory(self.generations)
        self.switch_to(manifest.generation)

    def switch_to(self, generation: str) -> None:
        """Let ``CURRENT`` name a finished generation; the one that it named is superseded.

        After a kill on the way the old one is published, and stays: a job removes none that is.
        """
        replaced = self.find_published()
        if replaced not in (None, generation):
            old = self.locate_generation(str(replaced))
            write_atomically(old / SUPERSEDED_FILE, generation + "\n")
            # Left where the job was killed after it had published: it is no build any more.
            (old / BUILD_FILE).unlink(missing_ok=True)
        if self.current_file.is_dir():  # which no file can replace
            self.current_file.rename(f"{self.current_file}.{secrets.token_hex(3)}")
        write_atomically(self.current_file, generation + "\n")
        for left in (SUPERSEDED_FILE, BUILD_FILE):
            (self.locate_generation(generation) / left).unlink(missing_ok=True)

    def is_superseded(self, generation: str) -> bool:
        """Return whether another generation, which is there, was published in place of this one."""
        try:
            path = self.locate_generation(generation) / SUPERSEDED_FILE
            successor = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return False
        return successor != generation and self.find_damage(successor) is None

    @contextmanager
    def hold_lock(self) -> Iterator[None]:
        """Hold the exclusive right to write here; the system releases it when the process dies.

        Raises:
            IndexLocked: another job holds it.
        """
        with hold_lock(
            self.path / "index.lock",
            lambda holder: IndexLocked(
                f"another indexing job (process {holder}) is writing to "
                f"{self.path.resolve()}; wait for it to end, or use another --data-dir"
            ),
        ):
            yield

    def read_takedowns(self) -> frozenset[str]:
        """Return the ids of the videos that no job may bring back.

        Raises:
            StoreCorrupt: the file can't be read.
        """
        try:
            lines = self.takedowns_file.read_text(encoding="utf-8").splitlines()
            return frozenset(str(json.loads(line)) for line in lines)
        except FileNotFoundError:
            return frozenset()
        except (OSError, ValueError) as error:
            raise StoreCorrupt(
                f"{self.takedowns_file} can't be read: {error}. Each line is the id of a video "
                'that was taken down, as "id": mend it, or move it away and take them down again'
            ) from error

    def write_takedowns(self, video_ids: Collection[str]) -> None:
        """Let no job bring these videos back, and no others."""
        lines = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in sorted(video_ids))
        write_atomically(self.takedowns_file, lines)

    def list_generations(self) -> list[str]:
        """Return every generation on disk, finished or not, oldest first."""
        if not self.generations.is_dir():
            return []
        return sorted(entry.name for entry in self.generations.iterdir() if entry.is_dir())

    def is_unfinished(self, generation: str) -> bool:
        """Return whether a generation is being built, or being removed, or holds nothing."""
        path = self.locate_generation(generation)
        # One with hidden files alone was killed while its first one was being written.
        return (path / BUILD_FILE).exists() or (
            path.is_dir() and all(entry.name.startswith(".") for entry in path.iterdir())
        )

    def list_finished(self) -> list[str]:
        """Return every generation that was finished once, damaged or not, oldest first."""
        return [
            name
            for name in self.list_generations()
            if self._has_manifest(name) or not self.is_unfinished(name)
        ]

    def refuse_unpublished(self, generations: Collection[str]) -> None:
        """Return if ``CURRENT`` is right, or if there is neither one nor any of ``generations``.

        Raises:
            NoGeneration: it is not known which of them was published.
        """
        if self.find_published() is not None or not (generations or self.current_file.exists()):
            return
        there = ", ".join(
            f"{name} (damaged)" if self.find_damage(name) else name for name in sorted(generations)
        )
        raise NoGeneration(
            f"{self.current_file} doesn't name a finished generation; there are: "
            f"{there or 'none'}. `twinlens publish GENERATION` publishes one, and `twinlens "
            "generations` says what they are; --fresh indexes this source alone, and keeps them"
        )

    def begin_removal(self, generation: str) -> None:
        """Make a generation a build that nothing can continue: the next job removes what is left.

        A rename needs no room, should the disk be full.
        """
        path = self.locate_generation(generation)
        with suppress(FileNotFoundError):
            (path / MANIFEST_FILE).replace(path / BUILD_FILE)

    def remove(self, generation: str) -> None:
        """Delete a generation's files; a kill on the way leaves nothing that looks finished."""
        self.begin_removal(generation)
        path = self.locate_generation(generation)
        for entry in path.iterdir() if path.is_dir() else ():
            if entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)
            elif entry.name != BUILD_FILE:
                with suppress(OSError):
                    entry.unlink()
        shutil.rmtree(path, ignore_errors=True)

    def _has_manifest(self, generation: str) -> bool:
        return (self.locate_generation(generation) / MANIFEST_FILE).is_file()


def make_generation_name(now: datetime) -> str:
    """Make a name that sorts by time and is never given twice: ``20261121T083000.123Z-5f2c9a``."""
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3]
    return f"{stamp}Z-{secrets.token_hex(3)}"


def is_generation_name(name: str) -> bool:
    """Return whether ``make_generation_name`` may have made it."""
    return re.fullmatch(r"\d{8}T\d{6}\.\d{3}Z-[0-9a-f]{6}", name) is not None
