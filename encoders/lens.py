"""A lens: one way to look at a video, and to ask for videos that look alike through it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar, cast

from twinlens.catalog.errors import PictureRejected, RejectReason
from twinlens.catalog.vectors import AnyVector, SparseVector, StoredVideo, find_share
from twinlens.catalog.video import Video
from twinlens.encoders.runtimes import TitleRuntime

ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True)
class Picture:
    """The encoded picture of a video: JPEG, PNG and so on.

    ``digest`` is its SHA-256 in hex; ``data`` its bytes, or the file that holds them.
    """

    digest: str
    data: bytes | Path

    def read(self) -> bytes:
        """Return its bytes.

        Raises:
            PictureRejected: its file can't be read.
        """
        if isinstance(self.data, bytes):
            return self.data
        try:
            return self.data.read_bytes()
        except OSError as error:
            raise PictureRejected(
                RejectReason.PICTURE_MISSING, f"{self.data.name} is gone from {self.data.parent}"
            ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is searched by: any of a text, an encoded picture, and a stored video.

    ``video`` has its vectors.
    """

    text: str | None = None
    picture: bytes | None = None
    video: StoredVideo | None = None

    def stored(self, lens: str) -> AnyVector | None:
        """Return the vector that ``video`` has by the lens of this name; None without one."""
        if self.video is None:
            return None
        dense = self.video.vectors.get(lens)
        return self.video.sparse.get(lens) if dense is None else dense


@dataclass(frozen=True, slots=True, kw_only=True)
class LensOptions:
    """What a lens may want to know to open itself.

    ``model`` is what the settings ask for, or else what made the published index; None: the lens
    may choose. ``fingerprint`` is that of the stored vectors it is to ask, if any: a lens that can
    make vectors by an older rule of its own goes by that. ``cache_dir`` is a folder for what is
    worked out once; ``title_runtime`` is what runs a sentence-transformers model.
    """

    model: str | None = None
    fingerprint: str | None = None
    threads: int | None = None
    title_runtime: TitleRuntime = "torch"
    cache_dir: Path | None = None


class Lens(ABC, Generic[ItemT]):
    """One way to look at a video. A subclass and one line of registration add one.

    Making a lens is cheap: weights are loaded by the first ``encode`` or ``ask``. Lenses are used
    by many threads at once. ``docs/lenses.md`` has an example.
    """

    #: Its name everywhere: in Qdrant, in files, in JSON. Lower-case letters, digits, underscores.
    name: ClassVar[str]
    #: What its ranking goes by, as a noun phrase: "the meaning of the title".
    about: ClassVar[str]
    #: The share of its ranking in the fusion where a request says nothing.
    weight: ClassVar[float] = 1.0

    @classmethod
    def open(cls, options: LensOptions) -> Self:  # noqa: ARG003 - for those that need them
        """Return the lens, ready to be used.

        Raises:
            EncoderUnavailable: its model can't be had.
        """
        return cls()

    @property
    def model(self) -> str:
        """What gets its model again, as ``LensOptions.model``."""
        return self.name

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Text that changes whenever its vectors would: covers model, weights, preprocessing."""

    @property
    @abstractmethod
    def dim(self) -> int | None:
        """Length of its vectors; None: they are sparse."""

    @abstractmethod
    def looks_at(self, video: Video, picture: Picture | None) -> str | None:
        """Return what it looks at, as text that changes whenever that does; None: there is nothing.

        It is asked of every video in every job, so it is cheap: of a picture, its digest.
        """

    def item(self, video: Video, picture: Picture | None) -> ItemT:
        """Return what ``encode`` takes of this video: the text of ``looks_at``, or another item.

        Called for new or changed videos alone, in several threads at once: the place to decode.

        Raises:
            RowRejected: it can't be used.
        """
        return cast("ItemT", self.looks_at(video, picture))

    @abstractmethod
    def encode(self, items: Sequence[ItemT]) -> Sequence[AnyVector | None]:
        """Return a vector for each item, in their order; None: a sparse one would be empty.

        Dense vectors are float32 of shape (dim,) and of unit length.

        Raises:
            UnencodableItems: some items have no finite, non-zero dense vector.
        """

    def ask(self, query: Query) -> AnyVector | None:
        """Return the vector to search by; None: this lens can't be asked this query.

        A lens that understands neither texts nor pictures leaves this as it is: it asks with what
        it has stored of the video that is searched by.

        Raises:
            PictureRejected: the picture can't be read.
            UnencodableItems: what was given has no direction.
        """
        return query.stored(self.name)

    def measure_coverage(self, asked: SparseVector, held: SparseVector | None) -> float:
        """Return the share, 0 to 1, of a sparse query that a stored vector holds.

        The weight of the lens is multiplied by that of its best hit.
        """
        return find_share(asked, held)

    @classmethod
    def plural(cls) -> str:
        """Return what it looks at, of several videos, in short: titles, words."""
        return cls.name if cls.name.endswith("s") else f"{cls.name}s"

    def warm(self) -> None:
        """Load what would make the first caller wait."""


Lenses = Mapping[str, Lens[Any]]
