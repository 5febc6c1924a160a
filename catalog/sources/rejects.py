"""The rejects file: which rows were not indexed, and why."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TextIO

from catalog.errors import RejectReason, SourceError
from catalog.sources.rows import Reject

_MAX_DETAIL: Final = 500


class RejectsFile:
    """JSON lines of ``file``, ``row``, ``video_id``, ``reason``, ``detail`` and ``kept``.

    ``kept`` is true for a note on a row that is indexed all the same. The file appears with the
    first line; one left by an earlier run is removed on entering. ``counts`` and ``notes`` hold
    the number of lost rows and of notes by reason, ``nameless`` that of lost rows with no video_id.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.counts: Counter[RejectReason] = Counter()
        self.notes: Counter[RejectReason] = Counter()
        self.nameless = 0
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise SourceError(f"rejects file {self.path}: {error.strerror}") from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def write(self, reject: Reject) -> None:
        """Record a row that is lost."""
        self.counts[reject.reason] += 1
        self.nameless += reject.video_id is None
        self._append(reject, kept=False)

    def note(self, reject: Reject) -> None:
        """Record what is amiss with a row that is indexed nevertheless."""
        self.notes[reject.reason] += 1
        self._append(reject, kept=True)

    def close(self) -> None:
        """Close the file, if there is one; a second call does nothing."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _append(self, reject: Reject, *, kept: bool) -> None:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # "\udc80" is what both a half surrogate and JSON's escape for it look like, so that
            # names of files that are no UTF-8 can be written, and the file is.
            self._file = self.path.open(
                "w", buffering=1, encoding="utf-8", errors="backslashreplace", newline="\n"
            )
        line = {
            "file": reject.origin.file,
            "row": reject.origin.row,
            "video_id": reject.video_id,
            "reason": reject.reason.value,
            "detail": reject.detail[:_MAX_DETAIL],
            "kept": kept,
        }
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
