"""The record of a run: what is measured is written into it, and every report reads it back.

A list of figures has one for each round, so that a ratio can be formed within its round.
"""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from twinlens.catalog.errors import TwinLensError, UsageError
from twinlens.catalog.files import write_atomically

FORMAT: Final = 3

Setting = dict[str, bool | int | float]
Rounds = Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1)]
_AtLeast0 = Annotated[float, Field(ge=0)]
_Several = Annotated[int, Field(gt=0)]


class EngineFailed(TwinLensError):
    """An engine could not do what a measurement asked of it; the others go on."""


class Form(BaseModel):
    """A part of a record. No text is taken for a number; what is not known is refused."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class Answers(Form):
    """What single searches took and found; ``server_ms`` is of it the engine's own, if it tells."""

    recall_at_10: Annotated[float, Field(ge=0, le=1)]
    queries: _Several
    p50_ms: Rounds
    server_ms: Rounds | None = None


class Search(Answers):
    """Searches with one setting."""

    setting: Setting

    @property
    def exact(self) -> bool:
        """Whether it scans, and must find the exact ten."""
        return bool(self.setting.get("exact"))


class Built(Form):
    """What making an index took, and how many vectors its graphs hold; None without graphs.

    None also where nobody can say, as of a server's memory or disk.
    """

    upload_s: _AtLeast0
    index_s: _AtLeast0
    disk_bytes: _Several | None = None
    peak_bytes: _Several | None = None
    indexed_vectors: _Several | None = None
    # The label of the engine that made the same index before.
    shared_with: str | None = None


class Memory(Form):
    """What a process with the open index holds after its first searches."""

    rss_bytes: _Several
    anonymous_bytes: Annotated[int, Field(ge=0)]


class Measured(Form):
    """All that was measured of one engine over one set of vectors.

    ``failed`` says in which part it failed, and why; what came before that part stands. ``chosen``
    is the setting that all beside single queries was measured with. ``batch`` and ``clients`` are
    queries a second: in calls of a hundred, and by clients that ask without a pause. ``filtered``
    is by the share of the videos that the filter lets through, ``fused`` of queries by every
    vector.
    """

    label: str
    build: dict[str, bool | int | float | str]
    environment: dict[str, str] = {}
    failed: str | None = None
    chosen: str = ""
    built: Built | None = None
    memory: Memory | None = None
    searches: dict[str, Search] = {}
    batch: Rounds | None = None
    filtered: dict[float, Answers] = {}
    fused: Answers | None = None
    clients: dict[Literal["threads", "processes"], dict[int, Rounds]] = {}


class Size(Form):
    """One number of videos; ``synthetic`` vectors say nothing of quality.

    ``loads`` is the machine's load average over a minute as each part ended.
    """

    videos: _Several
    source: str = ""
    synthetic: bool = False
    dims: dict[str, _Several] = {}
    experiments: dict[str, Measured] = {}
    loads: dict[str, _AtLeast0] = {}
    finished: bool = False


class Machine(Form):
    """What it was measured on; `twinlens.evaluate.machine` says what each field is."""

    model_config = ConfigDict(extra="ignore")

    taken_at: str
    command: str
    commit: str | None
    python: str
    system: str
    processor: str
    cores: _Several | None
    memory_bytes: _Several
    load: Annotated[list[_AtLeast0], Field(min_length=1)]
    versions: dict[str, str | None]


class Plan(Form):
    """What is asked of a run, and how much of it.

    ``seconds`` is about what one setting of an engine gets in a round. ``settings`` is a digest of
    the experiments' rows.
    """

    sizes: list[_Several]
    source: str
    experiments: list[str]
    settings: str = ""
    queries: int = 500
    seed: int = 0
    limit: int = 10
    window: int = 200
    rrf_k: float = 5.0
    rounds: int = 5
    seconds: float = 1.0
    clients: list[int] = [1, 2, 4, 8]
    client_rounds: int = 3
    client_seconds: float = 1.0
    build_threads: int = 1

    def digest(self) -> str:
        """Eight letters that tell one plan from another."""
        return blake2b(self.model_dump_json().encode(), digest_size=4).hexdigest()


class Result(Form):
    """A run. One that was stopped is not ``finished``; each time it went on is in ``continued``."""

    format: Literal[3]
    machine: Machine
    continued: list[Machine] = []
    plan: Plan
    finished: bool = False
    sizes: list[Size]

    def list_begun(self) -> list[Size]:
        """Return the sizes that were begun, smallest first."""
        return sorted((one for one in self.sizes if one.experiments), key=lambda one: one.videos)

    def list_failures(self) -> list[str]:
        """Return what failed, for a person: ``faiss-hnsw at 1,400``."""
        return [
            f"{name} at {size.videos:,}"
            for size in self.sizes
            for name, one in size.experiments.items()
            if one.failed
        ]

    def write(self, path: Path) -> None:
        """Write it to ``path``, whole or not at all.

        Raises:
            TwinLensError: it can't be written there.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, self.model_dump_json(indent=1, exclude_defaults=True) + "\n")
        except OSError as error:
            raise TwinLensError(f"{path}: can't be written: {error}") from error


def read_result(path: Path) -> Result:
    """Return what a run wrote to ``path``.

    Raises:
        UsageError: it is no result, or of another format.
    """
    try:
        return Result.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        raise UsageError(
            f"{path}: not a result of `twinlens bench` in format {FORMAT} (commit d48cb03 reads"
            f" format 2): {'.'.join(map(str, first['loc']))}: {first['msg']}"
        ) from error
