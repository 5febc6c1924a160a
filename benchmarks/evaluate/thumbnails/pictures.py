"""The pictures of a source, as they lie there: encoded, with what is known of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image
from tqdm import tqdm

from catalog.errors import RowRejected, UsageError
from catalog.images import decode_image
from catalog.sources import Reject, open_source, read_thumbnail
from encoders.thumbnails.training import MIN_PICTURES, is_held_out


@dataclass(frozen=True, slots=True)
class LabelledPicture:
    """One encoded picture that can be read; ``held_out`` says that training never sees it."""

    video_id: str
    category: str | None
    data: bytes

    @property
    def held_out(self) -> bool:
        """Decided by the id alone, as ``twinlens train-thumbnails`` does."""
        return is_held_out(self.video_id)

    def image(self, *, at_least: tuple[int, int] | None = None) -> Image.Image:
        """The decoded picture, RGB; see ``decode_image``."""
        return decode_image(self.data, at_least=at_least)


@dataclass(frozen=True, slots=True)
class PictureSet:
    """What a source holds. ``unreadable`` says of each picture that is left out which and why."""

    source: str
    pictures: tuple[LabelledPicture, ...]
    unreadable: tuple[str, ...]


def read_pictures(source: str) -> PictureSet:
    """All readable pictures of ``source``, encoded as they lie there (some 30 KB each).

    Raises:
        UsageError: fewer than 64 of them can be read; the message names the others.
    """
    pictures: list[LabelledPicture] = []
    unreadable: list[str] = []
    with tqdm(desc=f"reading {source}", unit=" pictures") as progress:
        for row in open_source(source):
            progress.update()
            if isinstance(row, Reject):
                where = row.video_id or f"{row.origin.file}, row {row.origin.row}"
                unreadable.append(f"{where}: {row.detail}")
                continue
            video = row.video
            try:
                data = read_thumbnail(video)
                if data is None:
                    unreadable.append(f"{video.video_id}: no picture")
                    continue
                decode_image(data)
            except RowRejected as error:
                unreadable.append(f"{video.video_id}: {error.detail}")
                continue
            pictures.append(LabelledPicture(video.video_id, video.category, data))
    if len(pictures) < MIN_PICTURES:
        raise UsageError(
            f"{source}: {len(pictures)} readable pictures; at least {MIN_PICTURES} are needed"
            + (f" (not readable: {some_of(unreadable)})" if unreadable else "")
        )
    return PictureSet(source, tuple(pictures), tuple(unreadable))


def some_of(unreadable: Sequence[str]) -> str:
    """The first five of them, and how many more there are."""
    more = [f"and {len(unreadable) - 5} more"] if len(unreadable) > 5 else []
    return "; ".join([*unreadable[:5], *more])
