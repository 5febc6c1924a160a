"""The pictures of a source, as they lie there: encoded, with what is known of each."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image
from tqdm import tqdm

from twinlens.catalog.errors import UsageError
from twinlens.catalog.images import decode_image
from twinlens.catalog.sources.pictures import read_pictures, some_of
from twinlens.encoders.thumbnails.training import MIN_PICTURES, is_held_out


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
    """What a source holds. ``left_out`` says of the other videos which and why."""

    source: str
    pictures: tuple[LabelledPicture, ...]
    left_out: tuple[str, ...]


def picture_set(source: str) -> PictureSet:
    """All readable pictures of ``source``, encoded as they lie there (some 30 KB each).

    Raises:
        UsageError: fewer than 64 of them can be read; the message names the others.
    """
    left_out: list[str] = []
    found = read_pictures(source, left_out=left_out)
    pictures = tuple(
        LabelledPicture(video.video_id, video.text("category"), data)
        for video, data, _ in tqdm(found, desc=f"reading {source}", unit=" pictures")
    )
    if len(pictures) < MIN_PICTURES:
        raise UsageError(
            f"{source}: {len(pictures)} readable pictures; at least {MIN_PICTURES} are needed"
            + (f" (left out: {some_of(left_out)})" if left_out else "")
        )
    return PictureSet(source, pictures, tuple(left_out))
