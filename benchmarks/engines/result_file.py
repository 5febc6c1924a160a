"""The result of a run as it lies on disk: one JSON file, of one known form."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from twinlens.benchmarks.engines.experiments import FLAT, FLAT_IN_MEMORY
from twinlens.catalog.errors import UsageError

# Raised by one with every change that an older reader would misread.
FORMAT: Final = 2

Result = Mapping[str, Any]
Size = Mapping[str, Any]
Experiment = Mapping[str, Any]

_NEEDED: Final = ("machine", "options", "sizes")


def read_result(path: Path) -> Result:
    """What a run wrote to ``path``; it may be unfinished, but has measured something.

    Raises:
        UsageError: it is not JSON, of another format or form, or a run that measured nothing.
    """
    result = _checked(path)
    if not any("built" in one or one["failed"] for one in _experiments(result)):
        raise UsageError(f"{path}: an empty run: nothing was measured in it")
    return result


def read_unfinished(path: Path) -> dict[str, Any]:
    """The same for a run that goes on, which may have measured nothing yet.

    ``continued`` and ``finished`` are always there, and the ``parts`` of each size that was begun.

    Raises:
        UsageError: it is not JSON, or of another format or form.
    """
    result = _checked(path)
    result.setdefault("continued", [])
    result.setdefault("finished", False)
    for size in result["sizes"]:
        if "experiments" in size:
            size.setdefault("parts", [])
    return result


def measured(result: Result) -> list[Size]:
    """The sizes that were begun, smallest first; what was left out is in ``left_out``."""
    return sorted(
        (size for size in result["sizes"] if "skipped" not in size and size.get("experiments")),
        key=lambda size: int(size["videos"]),
    )


def left_out(result: Result) -> dict[int, str]:
    """Why each size that was left out was, by its number of videos."""
    return {size["videos"]: size["skipped"] for size in result["sizes"] if "skipped" in size}


def _experiments(result: Result) -> Iterator[Experiment]:
    for size in result["sizes"]:
        yield from size.get("experiments", {}).values()


def _checked(path: Path) -> dict[str, Any]:
    try:
        result: Any = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not JSON: {error}") from error
    if not isinstance(result, dict) or "format" not in result:
        raise UsageError(f"{path}: not a result of `twinlens bench`: it names no format")
    if result["format"] != FORMAT:
        raise UsageError(
            f"{path}: its format is {result['format']}, not {FORMAT}; measure anew, into another"
            " file"
        )
    missing = [key for key in _NEEDED if key not in result]
    if missing:
        raise UsageError(f"{path}: not a whole result: it lacks {', '.join(missing)}")
    try:
        _Run.model_validate(result)
    except ValidationError as error:
        raise UsageError(f"{path}: not a whole result: {_told(error)}") from error
    return result


def _told(error: ValidationError) -> str:
    """Where the first fault is, and which."""
    found = error.errors(include_url=False, include_context=False)
    first = found[0]
    where = ".".join(str(part) for part in first["loc"] if part != "[key]")
    if first["type"] == "missing":
        what = f"it lacks {where}"
    else:
        what = f"{where}: {first['msg'].removeprefix('Value error, ')}"
    return what + (f" (and {len(found) - 1} more)" if len(found) > 1 else "")


# The form of what is read. Keys beside these may be there, unless readers go through all of them.
_Positive = Annotated[float, Field(gt=0)]
_AtLeast0 = Annotated[float, Field(ge=0)]
_Count = Annotated[int, Field(ge=0)]
_Several = Annotated[int, Field(gt=0)]
_Recall = Annotated[float, Field(ge=0, le=1)]
# One figure for each round.
_Rounds = Annotated[list[_Positive], Field(min_length=1)]
_Bin = Annotated[list[_AtLeast0], Field(min_length=2, max_length=2)]
_Number = Annotated[str, Field(pattern=r"^[1-9][0-9]*$")]
_Plain = bool | int | float | str | None
_Share = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?$")]

# Of what may not be there, but where it is, is no null.
_LEFT_OUT: Final[Any] = None


class _Form(BaseModel):
    # What lies on disk is what was meant: no text is taken for a number.
    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class _Machine(_Form):
    taken_at: str
    command: str
    commit: str | None
    dirty: list[str] | None
    python: str
    system: str
    processor: str
    cores: _Several | None
    memory_bytes: _Several
    load: Annotated[list[_AtLeast0], Field(min_length=1)]
    disturbed: bool
    versions: dict[str, str | None]


class _Latency(_Form):
    p50: _Rounds
    p95: _Rounds
    p99: _Rounds
    mean: _Rounds
    histogram: Annotated[list[_Bin], Field(min_length=1)]


class _Waits(_Form):
    ms: _Latency


class _Answers(_Waits):
    recall_at_10: _Recall
    queries: _Several


class _Search(_Answers):
    setting: dict[str, _Plain]
    exact: bool
    engine_ms: _Latency | None = None


class _Failed(_Form):
    part: str
    error: str


class _Built(_Form):
    upload_s: _AtLeast0
    index_s: _AtLeast0
    threads: _Several
    disk_bytes: _Count
    peak_bytes: _Count | None = None
    indexed_vectors: _Count | None
    segments: _Count | None = None
    shared_with: str | None = None


class _Memory(_Form):
    rss_bytes: _Several
    anonymous_bytes: _Count


class _Cold(_Form):
    """One figure of both for each try."""

    setting: str
    open_ms: Annotated[list[_AtLeast0], Field(min_length=1)]
    first_query_ms: _Rounds

    @model_validator(mode="after")
    def _in_pairs(self) -> Self:
        if len(self.open_ms) != len(self.first_query_ms):
            raise ValueError("it has as many of open_ms as of first_query_ms, or should have")
        return self


class _Batch(_Form):
    queries: _Several
    per_second: _Rounds


class _Clients(_Form):
    model_config = ConfigDict(extra="forbid")

    threads: dict[_Number, _Rounds] = {}
    processes: dict[_Number, _Rounds] = {}


class _Fused(_Form):
    model_config = ConfigDict(extra="forbid")

    python: _Answers = _LEFT_OUT
    engine: _Answers = _LEFT_OUT


class _Beside(_Waits):
    upserts_per_second: _AtLeast0
    deletes_per_second: _AtLeast0


class _Changing(_Form):
    model_config = ConfigDict(extra="forbid")

    without: _Waits
    beside: _Beside


class _Experiment(_Form):
    label: str
    build: dict[str, Any]
    environment: dict[str, str] = {}
    failed: _Failed | None
    chosen: str = ""
    built: _Built = _LEFT_OUT
    memory: _Memory = _LEFT_OUT
    cold: _Cold = _LEFT_OUT
    searches: Annotated[dict[str, _Search], Field(min_length=1)] = {}
    batch: _Batch = _LEFT_OUT
    clients: _Clients = _LEFT_OUT
    filtered: dict[_Share, _Answers] = {}
    fused: _Fused = _LEFT_OUT
    changing: _Changing = _LEFT_OUT


class _Vectors(_Form):
    source: str
    synthetic: bool
    dims: Annotated[dict[str, _Several], Field(min_length=1)]
    queries: _Several


class _Reading(_Form):
    bytes: _Several
    ms: _Rounds


class _Disturbed(_Form):
    others_cores: _AtLeast0 = 0.0
    worst_cores: _AtLeast0 = 0.0
    slowed: _AtLeast0 | None = None
    reading_slowed: _AtLeast0 | None = None


class _Watched(_Form):
    others_cores: _AtLeast0
    worst_cores: _AtLeast0
    pace_ms: _Rounds
    reading_slowed: _AtLeast0 = 1.0


class _Size(_Form):
    videos: _Several
    skipped: str = ""
    vectors: _Vectors = _LEFT_OUT
    experiments: dict[str, _Experiment] = {}
    watched: dict[str, _Watched] = {}
    disturbed: dict[str, _Disturbed] = {}
    parts: list[str] = []
    commits: dict[str, str | None] = {}
    reading: _Reading = _LEFT_OUT
    loop: _Waits = _LEFT_OUT
    finished: bool = False

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.experiments and "vectors" not in self.model_fields_set:
            raise ValueError("it has experiments, and lacks vectors")
        for name in (FLAT, FLAT_IN_MEMORY):
            of = self.experiments.get(name)
            if of is not None and of.searches and "exact" not in of.searches:
                raise ValueError(f"its {name} has searches, and lacks the exact one")
        return self


class _Run(_Form):
    machine: _Machine
    continued: list[_Machine] = []
    options: dict[str, Any]
    finished: bool = True
    sizes: list[_Size]
    edited: list[str] = []
