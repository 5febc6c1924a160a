"""What every source yields: a video, or the reason why a row holds none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from twinlens.catalog.errors import RejectReason
from twinlens.catalog.sources.findings import Findings
from twinlens.catalog.video import Video


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a row stands: the file as a person knows it, and the row counted from 1 within it.

    A row is a line of JSONL (blank ones counted), a record of CSV (the header not counted), a row
    of Parquet or of a split, a file of a folder of pictures.
    """

    file: str
    row: int


@dataclass(frozen=True, slots=True)
class Note:
    """What could not be read of a row that is indexed all the same: ``field`` stays empty."""

    field: str
    reason: RejectReason
    detail: str

    @property
    def label(self) -> str:
        """What is counted: see ``Reject.label``."""
        return make_label(self.field, self.reason)


def make_label(field: str | None, reason: RejectReason) -> str:
    """Return the reason, after the field where the reason doesn't say which."""
    told = field in (None, "thumbnail", "video_id") or reason.is_of_picture
    return reason.value if told else f"{field} {reason}"


@dataclass(frozen=True, slots=True)
class Row:
    """A row that holds a video, and what could not be read of it."""

    origin: Origin
    video: Video
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class Reject:
    """A row (or the rest of a file) that can't be indexed, and why; or a note on a ``field``."""

    origin: Origin
    reason: RejectReason
    detail: str
    video_id: str | None = None
    field: str | None = None

    @property
    def label(self) -> str:
        """What is counted: the reason, after the field where that is needed."""
        return make_label(self.field, self.reason)


class Source(Protocol):
    """Videos, read one after the other in bounded memory; may be iterated again."""

    @property
    def name(self) -> str:
        """What a person typed."""
        ...

    @property
    def findings(self) -> Findings:
        """What was found beside videos; complete once the source was iterated."""
        ...

    def describe(self) -> Iterator[tuple[str, Mapping[str, Sequence[str]]]]:
        """Yield the name of each table that can be read, and the columns of each field."""
        ...

    def count_rows(self) -> int | None:
        """Return the number of rows, bad ones included, where that is cheap to know."""
        ...

    def __iter__(self) -> Iterator[Row | Reject]:
        """Yield every row of the source; one bad row never ends it.

        Raises:
            SourceError: the source as a whole stopped answering.
        """
        ...


@dataclass(frozen=True, slots=True)
class Record:
    """One row as a file holds it: cells by column name, absent or None where it has none.

    ``file`` is where it stands, if that is not the table's.
    """

    row: int
    cells: Mapping[str, object]
    file: str | None = None


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A row that can't be taken apart into cells."""

    row: int
    reason: RejectReason
    detail: str
    file: str | None = None


@dataclass(frozen=True, slots=True)
class NoVideo:
    """A row that says of itself that it is no video; ``what`` is counted."""

    row: int
    what: str


@dataclass(frozen=True, slots=True)
class BadCell:
    """Stands in a record for a cell that can't be read for sure; a title is read by ``guess``."""

    reason: RejectReason
    detail: str
    guess: str | None = None
