"""The rejects file: which rows were not indexed, and why."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TextIO

from twinlens.catalog.errors import RejectReason, SourceError
from twinlens.catalog.sources.rows import Reject

_MAX_DETAIL: Final = 500
_MAX_LINE_BYTES: Final = 1024 * 1024
_KEYS: Final = frozenset({"file", "row", "reason"})


class RejectsFile:
    """JSON lines of ``file``, ``row``, ``video_id``, ``field``, ``reason``, ``detail``, ``kept``.

    ``kept`` is true for a note on a row that is indexed all the same; ``field`` is what could not
    be read of it. The first line replaces a
    file of an earlier run; a run that ends well without a line removes it. ``counts`` and ``notes``
    hold the number of lost rows by reason and of notes by field and reason, ``nameless`` that of
    rows whose video_id is not known. ``write`` and ``note`` may be called from several threads.

    Raises:
        SourceError: on entering, at ``path`` lies what is no rejects file; or it can't be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.counts: Counter[RejectReason] = Counter()
        self.notes: Counter[str] = Counter()
        self.nameless = 0
        self._file: TextIO | None = None
        self._left_before = False
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        with _translate_errors(self.path):
            # What is no regular file, such as /dev/stderr, has no content to lose.
            self._left_before = self.path.is_file()
            if self._left_before and not _is_rejects_file(self.path):
                raise SourceError(
                    f"{self.path} is there already and is no rejects file; "
                    "it is left as it is: name another with --rejects, or remove it"
                )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        # After an error, the file of an earlier run stays: it is the last report on rows.
        if self._left_before and kind is None:
            with _translate_errors(self.path):
                self.path.unlink(missing_ok=True)

    def write(self, reject: Reject) -> None:
        """Record a row that is lost."""
        with self._lock:
            self.counts[reject.reason] += 1
            self.nameless += reject.video_id is None
            self._append(reject, kept=False)

    def note(self, reject: Reject) -> None:
        """Record what is wrong with a row that is indexed all the same."""
        with self._lock:
            self.notes[reject.label] += 1
            self.nameless += reject.field == "video_id"
            self._append(reject, kept=True)

    def close(self) -> None:
        """Close the file, if there is one; a second call does nothing."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _append(self, reject: Reject, *, kept: bool) -> None:
        if self._file is None:
            with _translate_errors(self.path):
                self._file = self._open_file()
            self._left_before = False
        line = {
            "file": reject.origin.file,
            "row": reject.origin.row,
            "video_id": reject.video_id,
            "field": reject.field,
            "reason": reject.reason.value,
            "detail": reject.detail[:_MAX_DETAIL],
            "kept": kept,
        }
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")

    def _open_file(self) -> TextIO:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # "\udc80" is what both a half surrogate and JSON's escape for it look like, so that names
        # of files that are no UTF-8 can be written, and the file is.
        return self.path.open(
            "w", buffering=1, encoding="utf-8", errors="backslashreplace", newline="\n"
        )


def _is_rejects_file(path: Path) -> bool:
    """Return whether ``path`` is empty or begins with a line of a rejects file."""
    with path.open("rb") as file:
        line = file.readline(_MAX_LINE_BYTES)
    if not line:
        return True
    try:
        values = json.loads(line)
    except ValueError:
        return False
    return isinstance(values, dict) and values.keys() >= _KEYS


@contextmanager
def _translate_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SourceError(f"rejects file {path}: {error.strerror}") from error
