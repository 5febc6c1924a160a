"""Count the pieces of an encoded picture before a decoder reads it.

Pillow reads the pieces of a file one by one, and libjpeg each scan of a JPEG, whatever the pixels.
"""

from __future__ import annotations

import re
import struct
from typing import Final

from twinlens.catalog.errors import PictureRejected, RejectReason

# A progressive JPEG comes in some ten scans. Each more is a pass over all pixels, for as little as
# 65 bytes: those of 16 MB would take an hour. Segments are few as well, and Pillow looks at each.
MAX_SCANS: Final = 50
# Of all its scans together, in bytes of coefficients: 25 of the largest picture of four components.
MAX_PASSES: Final = 8_200_000_000
# Of a JPEG in several scans, of which the same bytes take longer than in one.
MAX_BUFFERED_BYTES: Final = 12_000_000
MAX_SEGMENTS: Final = 1000
# Bytes between segments, which Pillow looks at one by one; there should be none.
MAX_JUNK_BYTES: Final = 64 * 1024
# Of EXIF in a JPEG. A segment has up to 64 kB, but Pillow joins several, and opening the picture
# reads its resolution there: 10 MB of numbers took 10 s.
MAX_EXIF_BYTES: Final = 256 * 1024
# Chunks of a PNG, blocks before the first picture of a GIF. Encoders write chunks of 8 kB.
MAX_PIECES: Final = 50_000
# Of text in a PNG, which Pillow unpacks and keeps, at up to four bytes a letter.
MAX_TEXT_BYTES: Final = 8 * 1024 * 1024

_TEXTS: Final = (b"tEXt", b"zTXt", b"iTXt")
_UNPACKED: Final = 1024 * 1024
# With the byte that ends it.
_KEYWORD: Final = 80
_SCAN: Final = 0xDA
_END: Final = 0xD9
_APP1: Final = 0xE1
# Of a GIF: the one extension that may be empty.
_COMMENT: Final = b"\xfe"
# The beginning of a segment: no escaped byte, no padding, no restart or TEM, which stand alone.
_SEGMENT: Final = re.compile(rb"\xff([\x02-\xcf\xd8-\xfe])")
# JPG is no frame; DHT and DAC are tables.
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Those that are not read. Where an arithmetic scan ends early, libjpeg goes on and decodes zeros
# for all blocks: 4 kB took 20 s. There are next to no such pictures, and few read them.
_UNREAD: Final = {
    "arithmetic": frozenset({0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}),
    "lossless": frozenset({0xC3}),
    "differential": frozenset({0xC5, 0xC6, 0xC7}),
}
_PROGRESSIVE: Final = 0xC2
# Of a frame of four components, the most that are read.
_FRAME_BYTES: Final = 6 + 3 * 4
# Of coefficients, 64 of two bytes: libjpeg keeps all of a picture that comes in several scans.
_BLOCK_BYTES: Final = 128
# What libjpeg refuses between segments: what is reserved, a second beginning, DHP, EXP and JPGn. In
# the middle of a scan it drops those below 0xC0 and reads on behind the two bytes, wherever their
# length would lead.
_REFUSED: Final = frozenset({*range(0x02, 0xC0), 0xC8, 0xD8, 0xDE, 0xDF, *range(0xF0, 0xFE)})


def refuse_endless(data: bytes) -> int:
    """Return how many bytes of a JPEG's coefficients are kept while it is decoded; else 0.

    Raises:
        PictureRejected: ``data`` has more pieces than an honest picture, or is of a rare kind of
            JPEG that is not read.
    """
    if data.startswith(b"\xff\xd8\xff"):
        return _refuse_endless_jpeg(data)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        _refuse_endless_png(data)
    elif data.startswith((b"GIF87a", b"GIF89a")):
        _refuse_endless_gif(data)
    return 0


def _refuse_endless_jpeg(data: bytes) -> int:
    most = MAX_SCANS
    # What lies behind the picture, such as a film, may look like scans, too.
    looks_like = data.count(bytes([0xFF, _SCAN]))
    segments = scans = frames = junk = exif = kept = parts = frame = 0
    sent: dict[tuple[int, int], int] = {}
    at = 2
    while found := _SEGMENT.search(data, at):
        [kind] = found[1]
        if kind in _REFUSED:
            raise PictureRejected(
                RejectReason.PICTURE_UNREADABLE, f"a JPEG with a marker FF {kind:02X}"
            )
        content = data[found.end() + 2 : found.end() + 2 + _FRAME_BYTES]
        if kind in _FRAMES:
            frame = kind
            parts, kept = _read_frame(kind, content)
        segments += 1
        scans += kind == _SCAN
        frames += kind in _FRAMES
        if not scans or (scans == 1 and kind == _SCAN):
            junk += found.start() - at
        if scans > most or segments > MAX_SEGMENTS:
            raise _reject(f"a JPEG of more than {most} scans or {MAX_SEGMENTS:,} segments")
        if frames > 1:
            raise PictureRejected(RejectReason.PICTURE_UNREADABLE, "a JPEG of several frames")
        if junk > MAX_JUNK_BYTES:
            raise _reject(f"a JPEG with more than {MAX_JUNK_BYTES:,} bytes between segments")
        if scans == 1 and kind == _SCAN:
            if frame != _PROGRESSIVE and content[:1] == bytes([parts]):
                kept = 0  # all is in this scan, and decoded as it comes
            elif len(data) > MAX_BUFFERED_BYTES:
                raise _reject(f"a JPEG of several scans and {len(data):,} bytes")
            most = min(MAX_SCANS, MAX_PASSES // max(1, kept))
        if kind == _SCAN and kept:
            _refuse_repeated(content, sent)
        if kind == _END or (kind == _SCAN and not kept and looks_like <= most):
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
    return kept


def _read_frame(kind: int, frame: bytes) -> tuple[int, int]:
    """Return how many components a frame has, and the bytes that all its coefficients take.

    Raises:
        PictureRejected: it is not of a kind that is read.
    """
    coding = next((name for name, kinds in _UNREAD.items() if kind in kinds), None)
    if coding is not None:
        raise PictureRejected(RejectReason.PICTURE_UNREADABLE, f"a JPEG with {coding} coding")
    if len(frame) < 6 or frame[0] != 8:
        bits = f"{frame[0]} bits a sample; those of 8 are read" if frame else "no frame"
        raise PictureRejected(RejectReason.PICTURE_UNREADABLE, f"a JPEG with {bits}")
    height, width, parts = struct.unpack_from(">HHB", frame, 1)
    shares = [(packed >> 4, packed & 15) for packed in frame[7 : 6 + 3 * parts : 3]]
    most_across, most_down = (max(share[at] for share in shares or [(1, 1)]) or 1 for at in (0, 1))
    blocks = -(-width // (8 * most_across)) * -(-height // (8 * most_down))
    return parts, blocks * sum(across * down for across, down in shares) * _BLOCK_BYTES


def _refuse_repeated(scan: bytes, sent: dict[tuple[int, int], int]) -> None:
    """Note the bits that a scan brings: by component and coefficient, down to which they are there.

    Raises:
        PictureRejected: some were brought before, as no encoder does: each more costs a pass.
    """
    parts = scan[0] if scan else 0
    first, last, bits = scan[1 + 2 * parts : 4 + 2 * parts].ljust(3, b"\0")
    high, low = bits >> 4, bits & 15
    for part in scan[1 : 1 + 2 * parts : 2]:
        for coefficient in range(first, min(last, 63) + 1):
            before = sent.get((part, coefficient), 0)
            if (part, coefficient) in sent and not (low < high == before):
                raise _reject("a JPEG that brings bits of its pixels more than once")
            sent[part, coefficient] = low


def _refuse_endless_png(data: bytes) -> None:
    at = len(b"\x89PNG\r\n\x1a\n")
    chunks = profiles = text = 0
    while kind := data[at + 4 : at + 8]:
        chunks += 1
        profiles += kind == b"iCCP"
        length = int.from_bytes(data[at : at + 4])
        if kind in _TEXTS:
            # What is packed may come to a thousand times its bytes; Pillow unpacks 1 MiB of it.
            flag = data.find(b"\0", at + 8, at + 8 + _KEYWORD) + 1
            packed = kind == b"zTXt" or (kind == b"iTXt" and data[flag : flag + 1] != b"\0")
            text += max(length, min(1032 * length, _UNPACKED)) if packed else length
        if chunks > MAX_PIECES or profiles > 1:
            raise _reject(f"a PNG of more than {MAX_PIECES:,} chunks or one colour profile")
        if text > MAX_TEXT_BYTES:
            raise _reject(f"a PNG with more than {MAX_TEXT_BYTES:,} bytes of text, unpacked")
        if kind == b"IEND":
            return
        at += 12 + length


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
