"""The encoded picture of a video, read from where it lies on this machine."""

from __future__ import annotations

import os
import stat
import unicodedata
from pathlib import Path
from typing import Final, Literal

from twinlens.catalog.errors import PictureRejected, RejectReason
from twinlens.catalog.images import MAX_BYTES
from twinlens.catalog.video import Video

_FORMS: Final[tuple[Literal["NFC", "NFD"], ...]] = ("NFC", "NFD")


def read_thumbnail(video: Video) -> bytes | None:
    """Return the encoded picture of ``video``, or None where it has none here.

    Raises:
        PictureRejected: its file is missing or can't be read, or it has too many bytes.
    """
    if video.thumbnail is None:
        return None
    if isinstance(video.thumbnail, Path):
        path = _find_form(video.thumbnail)
        data, where = _read_file(path), f"{path}: "
    else:
        data, where = video.thumbnail, ""
    if len(data) > MAX_BYTES:
        raise PictureRejected(
            RejectReason.PICTURE_TOO_LARGE, f"{where}more than {MAX_BYTES} bytes; none are read"
        )
    return data


def _find_form(path: Path) -> Path:
    """Return ``path`` in the form of Unicode in which it is there: a Mac writes é as two."""
    if not path.name.isascii() and not os.path.lexists(path):
        for form in _FORMS:
            if os.path.lexists(other := path.with_name(unicodedata.normalize(form, path.name))):
                return other
            if os.path.lexists(other := Path(unicodedata.normalize(form, str(path)))):
                return other
    return path


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
