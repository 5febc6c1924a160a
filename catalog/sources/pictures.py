"""The pictures of a source, decoded, with what is left out and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from PIL import Image

from twinlens.catalog.errors import RowRejected
from twinlens.catalog.images import decode_image
from twinlens.catalog.sources import Reject, open_source, read_thumbnail
from twinlens.catalog.video import Video


class SourcePicture(NamedTuple):
    """A video's picture, as it lies there and decoded to RGB."""

    video: Video
    data: bytes
    image: Image.Image


def read_pictures(
    source: str, *, left_out: list[str], at_least: tuple[int, int] | None = None
) -> Iterator[SourcePicture]:
    """Yield every readable picture of ``source``; add to ``left_out`` the others, and why.

    ``at_least`` is where a decoder may stop; see ``decode_image``.
    """
    for row in open_source(source):
        if isinstance(row, Reject):
            where = row.video_id or f"{row.origin.file}, row {row.origin.row}"
            left_out.append(f"{where}: {row.detail}")
            continue
        video = row.video
        try:
            data = read_thumbnail(video)
            if data is None:
                left_out.append(f"{video.video_id}: no picture")
                continue
            yield SourcePicture(video, data, decode_image(data, at_least=at_least))
        except RowRejected as error:
            left_out.append(f"{video.video_id}: {error.detail}")


def name_some(left_out: Sequence[str]) -> str:
    """Name the first five of them, and how many more there are."""
    more = [f"and {len(left_out) - 5} more"] if len(left_out) > 5 else []
    return "; ".join([*left_out[:5], *more])
