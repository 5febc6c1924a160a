"""Every error that TwinLens raises on purpose.

::

    TwinLensError
    ├── UsageError                 wrong use or bad input; nothing was changed
    │   ├── SettingsError          a setting is unknown or out of range
    │   ├── SourceError            a source can't be opened or lacks what is needed
    │   └── LensesChanged          the index was made by other lenses
    ├── RowRejected                one row of a source can't be indexed (skipped, counted)
    │   └── PictureRejected        its picture can't be read, or is too large
    ├── StrictStop                 the first rejected row under ``--strict``
    ├── TooMuchLost                a job would remove more videos than it may
    ├── EncoderError
    │   ├── EncoderUnavailable     the model can't be loaded
    │   └── UnencodableItems       some items have no finite, non-zero vector
    ├── StoreError
    │   ├── StoreUnavailable       the engine doesn't answer
    │   ├── StoreCorrupt           what lies on disk doesn't fit together
    │   ├── OutOfRoom              too little disk or memory is left for what is to be done
    │   └── NoGeneration           nothing has been published yet
    ├── IndexLocked                another job is writing to this data directory
    ├── of ``events``: EventRejected    one event can't be kept
    └── of ``search``: VideoNotFound, LensNotFound, MultiSearchFailed, CursorInvalid, CursorExpired

A command ends with ``exit_code``: 2 where the use was wrong and nothing changed, else 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum


class TwinLensError(Exception):
    """Base of every error raised on purpose; its text is meant for the person at the keyboard."""

    exit_code = 1


class UsageError(TwinLensError):
    """Wrong use or bad input; nothing was changed."""

    exit_code = 2


class SettingsError(UsageError):
    """A setting is unknown or its value is out of range."""


class SourceError(UsageError):
    """A source can't be opened, or lacks what is needed."""


class NoVideos(SourceError):
    """A table can be read, but has no column for a title or a picture."""


class LensesChanged(UsageError):
    """The index was made by lenses other than those asked for."""


class RejectReason(StrEnum):
    """Why a row of a source, or a field of it, was skipped.

    The values are stable and stand in the rejects file.
    """

    EMPTY = "empty"
    MALFORMED = "malformed"
    NOT_UTF8 = "not_utf8"
    NOT_A_NUMBER = "not_a_number"
    BAD_VALUE = "bad_value"
    AMBIGUOUS = "ambiguous"
    ID_MISSING = "id_missing"
    ID_TOO_LONG = "id_too_long"
    ID_INVALID = "id_invalid"
    DUPLICATE_ID = "duplicate_id"
    PICTURE_MISSING = "picture_missing"
    PICTURE_UNREADABLE = "picture_unreadable"
    PICTURE_TOO_LARGE = "picture_too_large"
    PICTURE_NOT_FETCHED = "picture_not_fetched"
    NOT_ENCODABLE = "not_encodable"
    FILE_UNREADABLE = "file_unreadable"
    TAKEN_DOWN = "taken_down"

    @property
    def is_of_picture(self) -> bool:
        """Whether it says what is wrong with a picture."""
        return self.value.startswith("picture_")


class RowRejected(TwinLensError):
    """One row can't be indexed; the job skips it, counts it and goes on.

    Of a field of several values ``kept`` are those that can be.
    """

    def __init__(self, reason: RejectReason, detail: str, kept: tuple[str, ...] = ()) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.kept = kept


class PictureRejected(RowRejected):
    """A picture that can't be read, or has too many bytes or pixels."""


class StrictStop(TwinLensError):
    """A row was rejected and ``--strict`` asked to stop at the first."""


class TooMuchLost(TwinLensError):
    """The new generation would lack more than a fifth of the videos, and nobody allowed that."""


class EncoderError(TwinLensError):
    """An encoder failed."""


class EncoderUnavailable(EncoderError):
    """A model can't be loaded; the message names the choices that need no network."""

    exit_code = 2


class UnencodableItems(EncoderError):
    """Some items have no finite, non-zero vector."""

    def __init__(self, rows: Sequence[int]) -> None:
        super().__init__(f"no finite, non-zero vector for {len(rows)} item(s), rows {list(rows)}")
        self.rows = tuple(rows)


class StoreError(TwinLensError):
    """A store failed."""


class StoreUnavailable(StoreError):
    """The engine doesn't answer; the message says where it was looked for."""


class StoreCorrupt(StoreError):
    """What lies on disk doesn't fit together."""


class OutOfRoom(StoreError):
    """Too little disk or memory is left for what is to be done; nothing of it was begun."""


class NoGeneration(StoreError):
    """Nothing has been published in this data directory yet."""

    exit_code = 2


class IndexLocked(TwinLensError):
    """Another job is writing to this data directory."""

    exit_code = 2
