"""The encoded picture of a video, read from where it lies on this machine."""

from __future__ import annotations

import stat
from pathlib import Path

from twinlens.catalog.errors import PictureRejected, RejectReason
from twinlens.catalog.images import MAX_BYTES
from twinlens.catalog.video import Video


def read_thumbnail(video: Video) -> bytes | None:
    """Return the encoded picture of ``video``, or None where it has none here.

    Raises:
        PictureRejected: its file is missing or can't be read, or it has too many bytes.
    """
    if video.thumbnail is None:
        return None
    if isinstance(video.thumbnail, Path):
        data, where = _read_file(video.thumbnail), f"{video.thumbnail}: "
    else:
        data, where = video.thumbnail, ""
    if len(data) > MAX_BYTES:
        raise PictureRejected(
            RejectReason.PICTURE_TOO_LARGE, f"{where}more than {MAX_BYTES} bytes; none are read"
        )
    return data


def _read_file(path: Path) -> bytes:
    try:
        # A pipe or a device would never end, or never begin.
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise PictureRejected(RejectReason.PICTURE_MISSING, f"{path}: not a regular file")
        with path.open("rb") as file:
            # Python allocates as much as is asked for, so don't ask for the limit every time.
            return file.read(min(status.st_size, MAX_BYTES) + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise PictureRejected(RejectReason.PICTURE_MISSING, f"{path}: no such file") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PictureRejected(RejectReason.PICTURE_UNREADABLE, f"{path}: {reason}") from error
