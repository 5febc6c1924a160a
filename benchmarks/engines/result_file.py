"""The result of a run as it lies on disk: one JSON file, of one known form."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from catalog.errors import UsageError

# Raised by one with every change that an older reader would misread.
FORMAT: Final = 1

Result = Mapping[str, Any]
Size = Mapping[str, Any]
Experiment = Mapping[str, Any]


def read_result(path: Path) -> Result:
    """What a run wrote to ``path``; it may be unfinished, but has measured something.

    Raises:
        UsageError: it is not JSON, of another format, or a run that measured nothing.
    """
    try:
        result: Any = json.loads(path.read_bytes())
    except ValueError as error:
        raise UsageError(f"{path}: not JSON: {error}") from error
    if not isinstance(result, dict) or "format" not in result:
        raise UsageError(f"{path}: not a result of `twinlens bench`: it names no format")
    if result["format"] != FORMAT:
        raise UsageError(f"{path}: its format is {result['format']}, not {FORMAT}")
    missing = {"machine", "options", "sizes"} - result.keys()
    if missing:
        raise UsageError(f"{path}: not a whole result: it lacks {', '.join(sorted(missing))}")
    if not any("built" in one or one["failed"] for one in _experiments(result)):
        raise UsageError(f"{path}: an empty run: nothing was measured in it")
    return result


def measured(result: Result) -> list[Size]:
    """The sizes that were begun, smallest first; what was left out is in ``left_out``."""
    return sorted(
        (size for size in result["sizes"] if "skipped" not in size and size.get("experiments")),
        key=lambda size: int(size["videos"]),
    )


def _experiments(result: Result) -> Iterator[Experiment]:
    for size in result["sizes"]:
        yield from size.get("experiments", {}).values()


def left_out(result: Result) -> dict[int, str]:
    """Why each size that was left out was, by its number of videos."""
    return {size["videos"]: size["skipped"] for size in result["sizes"] if "skipped" in size}
