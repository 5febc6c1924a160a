"""Count the pieces of an encoded picture before a decoder reads it.

Pillow reads the pieces of a file one by one, and libjpeg each scan of a JPEG, whatever the pixels.
"""

from __future__ import annotations

import re
from typing import Final

from twinlens.catalog.errors import PictureRejected, RejectReason

# A progressive JPEG comes in some ten scans. Each more is a pass over all pixels, for as little as
# 65 bytes: those of 16 MB would take an hour. Segments are few as well, and Pillow looks at each.
MAX_SCANS: Final = 50
MAX_SEGMENTS: Final = 1000
# Bytes between segments, which Pillow looks at one by one; there should be none.
MAX_JUNK_BYTES: Final = 64 * 1024
# Of EXIF in a JPEG. A segment has up to 64 kB, but Pillow joins several, and opening the picture
# reads its resolution there: 10 MB of numbers took 10 s.
MAX_EXIF_BYTES: Final = 256 * 1024
# Chunks of a PNG, blocks before the first picture of a GIF. Encoders write chunks of 8 kB.
MAX_PIECES: Final = 50_000

_SCAN: Final = 0xDA
_END: Final = 0xD9
_APP1: Final = 0xE1
# Of a GIF: the one extension that may be empty.
_COMMENT: Final = b"\xfe"
# The beginning of a segment: no escaped byte, no padding, no restart or TEM, which stand alone.
_SEGMENT: Final = re.compile(rb"\xff([\x02-\xcf\xd8-\xfe])")
# JPG is no frame; DHT and DAC are tables.
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Those that are coded arithmetically. Where such a scan ends early, libjpeg goes on and decodes
# zeros for all blocks: 4 kB took 20 s. There are next to no such pictures, and few read them.
_ARITHMETIC: Final = frozenset({0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
# What libjpeg refuses between segments: what is reserved, a second beginning, DHP, EXP and JPGn. In
# the middle of a scan it drops those below 0xC0 and reads on behind the two bytes, wherever their
# length would lead.
_REFUSED: Final = frozenset({*range(0x02, 0xC0), 0xC8, 0xD8, 0xDE, 0xDF, *range(0xF0, 0xFE)})


def refuse_endless(data: bytes) -> None:
    """Return if ``data`` has no more pieces than an honest picture, or an unknown format.

    Raises:
        PictureRejected: it is not.
    """
    if data.startswith(b"\xff\xd8\xff"):
        _refuse_endless_jpeg(data)
    elif data.startswith(b"\x89PNG\r\n\x1a\n"):
        _refuse_endless_png(data)
    elif data.startswith((b"GIF87a", b"GIF89a")):
        _refuse_endless_gif(data)


def _refuse_endless_jpeg(data: bytes) -> None:
    # What lies behind the picture, such as a film, may look like scans, too.
    may_have_many = data.count(bytes([0xFF, _SCAN])) > MAX_SCANS
    segments = scans = frames = junk = exif = 0
    at = 2
    while found := _SEGMENT.search(data, at):
        [kind] = found[1]
        if kind in _REFUSED:
            raise PictureRejected(
                RejectReason.PICTURE_UNREADABLE, f"a JPEG with a marker FF {kind:02X}"
            )
        if kind in _ARITHMETIC:
            raise PictureRejected(RejectReason.PICTURE_UNREADABLE, "a JPEG with arithmetic coding")
        segments += 1
        scans += kind == _SCAN
        frames += kind in _FRAMES
        if not scans or (scans == 1 and kind == _SCAN):
            junk += found.start() - at
        if scans > MAX_SCANS or segments > MAX_SEGMENTS:
            raise _reject(f"a JPEG of more than {MAX_SCANS} scans or {MAX_SEGMENTS:,} segments")
        if frames > 1:
            raise PictureRejected(RejectReason.PICTURE_UNREADABLE, "a JPEG of several frames")
        if junk > MAX_JUNK_BYTES:
            raise _reject(f"a JPEG with more than {MAX_JUNK_BYTES:,} bytes between segments")
        if kind == _END or (kind == _SCAN and not may_have_many):
            break
        length = int.from_bytes(data[found.end() : found.end() + 2])
        if kind == _APP1 and data.startswith(b"Exif\0\0", found.end() + 2):
            exif += length
            if exif > MAX_EXIF_BYTES:
                raise _reject(f"a JPEG with more than {MAX_EXIF_BYTES:,} bytes of EXIF")
        at = found.end() + max(2, length)
    if scans == 0:
        # Pillow would look for one in all that follows.
        raise PictureRejected(RejectReason.PICTURE_UNREADABLE, "a JPEG without a scan")


def _refuse_endless_png(data: bytes) -> None:
    at = len(b"\x89PNG\r\n\x1a\n")
    chunks = profiles = 0
    while kind := data[at + 4 : at + 8]:
        chunks += 1
        profiles += kind == b"iCCP"
        if chunks > MAX_PIECES or profiles > 1:
            raise _reject(f"a PNG of more than {MAX_PIECES:,} chunks or one colour profile")
        if kind == b"IEND":
            return
        at += 12 + int.from_bytes(data[at : at + 4])


def _refuse_endless_gif(data: bytes) -> None:
    flags = int.from_bytes(data[10:11])
    at = 13 + (6 << (flags & 7) if flags & 0x80 else 0)
    pieces = 0
    while (kind := data[at : at + 1]) not in (b"", b",", b";"):
        at += 1
        pieces += 1
        if kind == b"!":
            # Where one of these is missing, Pillow reads on behind the end of the extension.
            least = 2 if data.startswith(b"NETSCAPE2.0", at + 2) else 1
            least = 0 if data.startswith(_COMMENT, at) else least
            blocks = 0
            at += 1
            while (size := int.from_bytes(data[at : at + 1])) and pieces + blocks <= MAX_PIECES:
                at += 1 + size
                blocks += 1
            if blocks < least:
                raise PictureRejected(
                    RejectReason.PICTURE_UNREADABLE, "a GIF with an extension cut short"
                )
            at += 1
            pieces += blocks
        if pieces > MAX_PIECES:
            raise _reject(f"a GIF with more than {MAX_PIECES:,} blocks before its first picture")


def _reject(what: str) -> PictureRejected:
    return PictureRejected(RejectReason.PICTURE_TOO_LARGE, what)
