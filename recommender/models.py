"""Trained models on disk: published whole, three kept, and a way back.

``data/models/CURRENT`` names the published one. A model is a folder with ``model.json``, which has
the digest of each of its files; it appears under its name when it is complete.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from twinlens.catalog.errors import IndexLocked, StoreCorrupt, StoreError, UsageError
from twinlens.catalog.files import create_whole, hold_lock, sync_files, write_atomically
from twinlens.catalog.versions import list_installed_versions, refuse_newer
from twinlens.stores.generations import is_generation_name, make_generation_name

if TYPE_CHECKING:
    from twinlens.recommender.candidate_model import CandidateModel
    from twinlens.recommender.ranking_model import RankingModel

MODEL_FILE: Final = "model.json"
EVALUATION_FILE: Final = "evaluation.json"
# A model that was published once has it: what can be rolled back to.
_PUBLISHED_FILE: Final = "published"
# Raised whenever an older program could no longer read a model right.
MODEL_FORMAT: Final = 1
_KEPT: Final = 3
_NOT_ONE: Final = (OSError, LookupError, TypeError, ValueError, AttributeError)


class Evaluation(NamedTuple):
    """By what a model was judged: each measure's mean over so many ``people``, by way to find."""

    protocol: str
    people: int
    figures: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, kw_only=True)
class ModelRecord:
    """What a model says of itself.

    ``lenses`` are the fingerprints of those whose vectors it learned from, ``generation`` the
    index that had them. ``log`` says how many events there were, and from when to when. ``files``
    are the digests (SHA-256) of its other files.
    """

    name: str
    created_at: str
    generation: str | None
    lenses: Mapping[str, str]
    log: Mapping[str, Any]
    training: Mapping[str, Any]
    files: Mapping[str, str]
    versions: Mapping[str, str] = field(default_factory=dict)

    def list_differences(self, lenses: Mapping[str, str]) -> list[str]:
        """Return the lenses whose vectors ``lenses``, their fingerprints, make differently."""
        return sorted(name for name, of in self.lenses.items() if lenses.get(name) != of)


@dataclass(frozen=True, eq=False, kw_only=True)
class RecommenderModel:
    """An open model: the network of candidates, and the ranker where it has one."""

    record: ModelRecord
    candidates: CandidateModel
    ranking: RankingModel | None = None

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the model in ``folder``.

        Raises:
            StoreCorrupt: it is damaged: the text says which file.
            StoreError: a newer TwinLens made it.
        """
        from twinlens.recommender.candidate_model import CandidateModel
        from twinlens.recommender.ranking_model import WEIGHTS_FILE, RankingModel

        record = read_record(folder)
        for name, digest in record.files.items():
            if _digest(folder / name) != digest:
                raise StoreCorrupt(f"the model {folder.name} is damaged: {name} is not as written")
        has_ranker = (folder / WEIGHTS_FILE).exists()
        return cls(
            record=record,
            candidates=CandidateModel.load(folder),
            ranking=RankingModel.load(folder) if has_ranker else None,
        )


class ModelDirectory:
    """The models of a data directory."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / "models"
        self.current_file = self.path / "CURRENT"
        self.training = self.path / "training"

    @contextmanager
    def hold_lock(self) -> Iterator[None]:
        """Hold the exclusive right to train and to publish here.

        Raises:
            IndexLocked: another process holds it.
        """
        with hold_lock(
            self.path / "models.lock",
            lambda holder: IndexLocked(
                f"process {holder} is training or publishing a model in {self.path.resolve()}; "
                "wait for it to end"
            ),
        ):
            yield

    def locate(self, name: str) -> Path:
        """Return where a model lies."""
        return self.path / name

    def list(self) -> list[str]:
        """Return the names of the models, published or not, oldest first."""
        names = [file.parent.name for file in self.path.glob(f"*/{MODEL_FILE}")]
        return sorted(name for name in names if is_generation_name(name))

    def read_current(self) -> str | None:
        """Return the name of the published model, or None where there is none.

        Raises:
            StoreCorrupt: ``CURRENT`` does not name one.
        """
        try:
            name = self.current_file.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise StoreCorrupt(f"{self.current_file} does not name a model") from error
        if not is_generation_name(name):
            raise StoreCorrupt(f"{self.current_file} does not name a model: {name!r}")
        return name

    def open_current(self) -> RecommenderModel | None:
        """Return the published model, or None where there is none.

        Raises:
            StoreError: it can't be read.
        """
        name = self.read_current()
        return None if name is None else RecommenderModel.load(self.locate(name))

    def is_published_once(self, name: str) -> bool:
        """Return whether a model is, or was, the published one."""
        return (self.locate(name) / _PUBLISHED_FILE).exists()

    def keep(
        self,
        fill: Callable[[Path], None],
        *,
        generation: str | None,
        lenses: Mapping[str, str],
        log: Mapping[str, Any],
        training: Mapping[str, Any],
    ) -> str:
        """Make a model, not published, of the files that ``fill`` writes; return its name.

        What is said of it beside is as ``ModelRecord`` has it. A kill leaves no part of a model.
        """
        now = datetime.now(UTC)
        name = make_generation_name(now)
        with create_whole(self.locate(name)) as making:
            fill(making)
            record = ModelRecord(
                name=name,
                created_at=now.isoformat(timespec="seconds"),
                generation=generation,
                lenses=dict(lenses),
                log=log,
                training=training,
                files={one.name: _digest(one) for one in sorted(making.iterdir())},
                versions=list_installed_versions(),
            )
            values = {"format": MODEL_FORMAT, **asdict(record)}
            write_atomically(making / MODEL_FILE, json.dumps(values, indent=2) + "\n")
            sync_files(making)
        self._prune()
        return name

    def publish(self, name: str) -> None:
        """Make a model that is whole the published one.

        Raises:
            UsageError: there is no such model.
            StoreError: it can't be read.
        """
        if name not in self.list():
            there = ", ".join(self.list()) or "none"
            raise UsageError(
                f"there is no model {name} in {self.path.resolve()}; there are: {there}"
            )
        RecommenderModel.load(self.locate(name))
        write_atomically(self.locate(name) / _PUBLISHED_FILE, "")
        write_atomically(self.current_file, name + "\n")
        self._prune()

    def roll_back(self) -> str:
        """Publish the latest model before the published one that was published, too; return it.

        A damaged one is passed over.

        Raises:
            UsageError: there is none.
        """
        current = self.read_current()
        for name in reversed(self.list()):
            if (current is None or name < current) and self.is_published_once(name):
                with suppress(StoreError):
                    self.publish(name)
                    return name
        raise UsageError(f"there is no earlier model in {self.path.resolve()} to go back to")

    def _prune(self) -> None:
        """Remove all models but the published one, the one before it, and the latest others.

        What a kill has left of others goes with them.
        """
        names = self.list()
        current = None
        with suppress(StoreCorrupt):
            current = self.read_current()
        before = [name for name in names if self.is_published_once(name) and name != current]
        kept = [name for name in (current, *before[-1:]) if name is not None]
        for name in reversed(names):
            if name not in kept and len(kept) < _KEPT:
                kept.append(name)
        for folder in [*self.path.iterdir()]:
            if folder.name not in kept and is_generation_name(folder.name.removesuffix(".new")):
                # Without it, what a kill leaves of the folder is no model.
                (folder / MODEL_FILE).unlink(missing_ok=True)
                shutil.rmtree(folder, ignore_errors=True)


def read_record(folder: Path) -> ModelRecord:
    """Return what the model in ``folder`` says of itself.

    Raises:
        StoreCorrupt: it says nothing that can be read.
        StoreError: a newer TwinLens made it.
    """
    try:
        values = json.loads((folder / MODEL_FILE).read_text(encoding="utf-8"))
        refuse_newer(f"the model {folder.name} has", values.pop("format"), MODEL_FORMAT)
        return ModelRecord(**values)
    except _NOT_ONE as error:
        raise StoreCorrupt(f"the model {folder.name} can't be read: {error!r}") from error


def read_evaluation(folder: Path) -> Evaluation | None:
    """Return by what the model in ``folder`` was judged, or None where it says nothing of it."""
    try:
        values = json.loads((folder / EVALUATION_FILE).read_text(encoding="utf-8"))
        figures = {
            row["name"]: {measure: float(of["value"]) for measure, of in row["figures"].items()}
            for row in values["rows"]
        }
        return Evaluation(str(values["protocol"]), int(values["people"]), figures)
    except _NOT_ONE:
        return None


def _digest(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise StoreCorrupt(f"the model {file.parent.name} is damaged: {error}") from error
