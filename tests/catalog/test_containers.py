"""Pictures of more pieces than an honest one has are refused before a decoder reads them."""

from __future__ import annotations

import io
import re
import struct
import zlib

import pytest
from PIL import Image

from tests.catalog.encoded import picture
from twinlens.catalog.containers import (
    MAX_EXIF_BYTES,
    MAX_JUNK_BYTES,
    MAX_PIECES,
    MAX_SCANS,
    MAX_SEGMENTS,
    refuse_endless,
)
from twinlens.catalog.errors import PictureRejected, RejectReason
from twinlens.catalog.images import decode_image

TOO_LARGE, UNREADABLE = RejectReason.PICTURE_TOO_LARGE, RejectReason.PICTURE_UNREADABLE
SIZE = (64, 48)


def rejected(data: bytes) -> RejectReason:
    with pytest.raises(PictureRejected) as caught:
        refuse_endless(data)
    return caught.value.reason


def segment(kind: int, content: bytes) -> bytes:
    return bytes([0xFF, kind]) + (len(content) + 2).to_bytes(2) + content


def behind_the_start(jpeg: bytes, *segments: bytes) -> bytes:
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


# ---- JPEG


def with_more_scans(jpeg: bytes, scans: int) -> bytes:
    """The same picture, whose last scan comes so often that there are ``scans``."""
    last = jpeg.rindex(b"\xff\xda")
    return jpeg[:last] + jpeg[last:-2] * (scans - jpeg.count(b"\xff\xda") + 1) + jpeg[-2:]


def test_a_jpeg_of_scans_without_end_is_refused() -> None:
    jpeg = picture("JPEG", progressive=True)
    assert decode_image(with_more_scans(jpeg, MAX_SCANS)).size == SIZE
    assert rejected(with_more_scans(jpeg, MAX_SCANS + 1)) is TOO_LARGE
    # A film behind the picture, as telephones put it there, may look like anything.
    assert decode_image(jpeg + b"\xff\xda" * 1000).size == SIZE
    padded = with_more_scans(jpeg, 1000).replace(b"\xff\xda", b"\xff\xff\xda")
    assert rejected(padded) is TOO_LARGE


@pytest.mark.parametrize("kind", [0x02, 0x4F, 0xBF, 0xC8, 0xD8, 0xDE, 0xDF, 0xF0, 0xFD])
def test_scans_cannot_hide_in_what_libjpeg_reads_otherwise(kind: int) -> None:
    """In a scan with restarts libjpeg drops FF 02, and reads what its length seems to skip."""
    jpeg = picture("JPEG", progressive=True)
    last = jpeg.rindex(b"\xff\xda")
    scan = jpeg[last:-2]
    hiding = scan + segment(kind, scan * 100)
    restarts = segment(0xDD, b"\0\1")
    assert rejected(jpeg[:last] + restarts + hiding + jpeg[last:]) is UNREADABLE


def test_marks_that_stand_alone_hide_nothing_and_restarts_are_read() -> None:
    jpeg = picture("JPEG", progressive=True, restart_marker_blocks=1)
    assert jpeg.count(b"\xff\xd0") > 0
    assert decode_image(jpeg).size == SIZE
    scans = with_more_scans(jpeg, 1000)
    for alone in (b"\xff\x01", b"\xff\xd5", b"\xff\0", b"\xff\xff"):
        assert rejected(scans.replace(b"\xff\xda", alone + b"\0\0\xff\xda")) is TOO_LARGE


def arithmetic(jpeg: bytes) -> bytes:
    """The same scans, said to be coded arithmetically: any bytes can be decoded as such."""
    at = re.search(rb"\xff[\xc0\xc2]", jpeg).start() + 1
    return jpeg[:at] + bytes([{0xC0: 0xC9, 0xC2: 0xCA}[jpeg[at]]]) + jpeg[at + 1 :]


@pytest.mark.parametrize("progressive", [False, True])
def test_an_arithmetic_jpeg_is_refused_before_it_is_decoded(progressive: bool) -> None:
    jpeg = arithmetic(picture("JPEG", progressive=progressive))
    with Image.open(io.BytesIO(jpeg)) as opened:
        opened.load()  # Pillow would
    for data in (jpeg, jpeg.replace(b"\xff\xdb", b"\xff\xff\xdb")):
        with pytest.raises(PictureRejected, match="arithmetic coding") as caught:
            decode_image(data)
        assert caught.value.reason is UNREADABLE


@pytest.mark.parametrize("kind", [0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF])
def test_every_arithmetic_frame_is_refused(kind: int) -> None:
    jpeg = picture("JPEG")
    assert rejected(jpeg.replace(b"\xff\xc0", bytes([0xFF, kind]))) is UNREADABLE


def test_what_only_looks_like_an_arithmetic_frame_is_read() -> None:
    """In a comment, in a thumbnail of EXIF, behind the picture."""
    frame = segment(0xCA, bytes(15))
    jpeg = picture("JPEG")
    inside = behind_the_start(jpeg, segment(0xFE, frame), segment(0xE1, b"Exif\0\0" + frame))
    assert decode_image(inside + frame).size == SIZE


def test_a_jpeg_of_exif_without_end_is_refused() -> None:
    """Pillow joins the segments, and reads the resolution in them when it opens the picture."""
    jpeg = picture("JPEG")
    many = [segment(0xE1, b"Exif\0\0" + bytes(65_000))] * (MAX_EXIF_BYTES // 65_000)
    assert decode_image(behind_the_start(jpeg, *many)).size == SIZE
    assert rejected(behind_the_start(jpeg, *many, many[0])) is TOO_LARGE
    other = [segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + bytes(65_000))] * 10
    assert decode_image(behind_the_start(jpeg, *other)).size == SIZE


def test_a_jpeg_of_segments_without_end_is_refused() -> None:
    jpeg = picture("JPEG")
    note = b"\xff\xfe\0\3\xda"
    assert decode_image(behind_the_start(jpeg, note * 900)).size == SIZE
    assert rejected(behind_the_start(jpeg, note * MAX_SEGMENTS)) is TOO_LARGE
    # The segments of an honest one are skipped, whatever is in them.
    whatever = segment(0xE5, b"\xff\xda\xff\x02\xff\xd9" * 10_000)
    assert decode_image(behind_the_start(jpeg, whatever * 3)).size == SIZE


@pytest.mark.parametrize("junk", [b"\xff", b"\0", b"\xff\0", b"\xff\xd0"])
def test_between_its_segments_a_jpeg_has_next_to_nothing(junk: bytes) -> None:
    jpeg = picture("JPEG")
    first = 4 + int.from_bytes(jpeg[4:6])

    def padded(size: int) -> bytes:
        return jpeg[:first] + junk * (size // len(junk)) + jpeg[first:]

    assert decode_image(padded(1000)).size == SIZE
    assert rejected(padded(MAX_JUNK_BYTES + 100)) is TOO_LARGE
    # What is between the marks of a scan is the picture.
    scan = jpeg.rindex(b"\xff\xda")
    refuse_endless(jpeg[:scan] + segment(0xDA, b"\1" * 6) + b"\1" * 200_000 + jpeg[-2:])


def test_a_jpeg_has_one_frame() -> None:
    jpeg = picture("JPEG")
    frame = segment(0xC0, b"\x08\0\x30\0\x40\3" + b"\1\x22\0" * 20_000)
    assert rejected(behind_the_start(jpeg, frame)) is UNREADABLE


# ---- PNG and GIF


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + check


@pytest.mark.parametrize("kind", [b"aaAa", b"IDAT", b"fdAT"])
def test_a_png_of_chunks_without_end_is_refused(kind: bytes) -> None:
    png = picture("PNG")
    assert decode_image(png[:33] + chunk(b"aaAa") * 1000 + png[33:]).size == SIZE
    assert rejected(png[:33] + chunk(kind) * MAX_PIECES + png[33:]) is TOO_LARGE
    # What lies behind the end is not read.
    assert decode_image(png + chunk(kind) * MAX_PIECES).size == SIZE


def test_a_png_has_one_colour_profile() -> None:
    png = picture("PNG")
    profile = chunk(b"iCCP", b"a\0\0" + zlib.compress(b"\0" * (1 << 20), 9))
    assert decode_image(png[:33] + profile + png[33:]).size == SIZE
    assert rejected(png[:33] + profile * 2 + png[33:]) is TOO_LARGE


@pytest.mark.parametrize("block", [b"\1a", b"\xff" + b"a" * 255])
def test_a_gif_of_blocks_without_end_is_refused(block: bytes) -> None:
    gif = picture("GIF")
    first = 13 + (6 << (gif[10] & 7))
    assert gif[first : first + 1] in (b"!", b",")

    def noted(blocks: int) -> bytes:
        return gif[:first] + b"!\xfe" + block * blocks + b"\0" + gif[first:]

    assert decode_image(noted(1000)).size == SIZE
    assert rejected(noted(MAX_PIECES)) is TOO_LARGE
    assert rejected(gif[:first] + b"!\xfe\1a\0" * MAX_PIECES + gif[first:]) is TOO_LARGE
    assert rejected(gif[:first] + bytes(MAX_PIECES + 1) + gif[first:]) is TOO_LARGE
    assert decode_image(gif + block * MAX_PIECES).size == SIZE


def test_of_a_film_in_a_gif_only_what_lies_before_its_first_picture_counts() -> None:
    buffer = io.BytesIO()
    frames = [Image.new("P", SIZE, number) for number in range(20)]
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], comment=b"a" * 9000)
    assert decode_image(buffer.getvalue()).size == SIZE


@pytest.mark.parametrize("extension", [b"!\xf9\0", b"!\xff\0", b"!\xff\x0bNETSCAPE2.0\0"])
def test_blocks_cannot_hide_where_pillow_reads_on_behind_an_extension(extension: bytes) -> None:
    gif = picture("GIF")
    first = 13 + (6 << (gif[10] & 7))
    hiding = b",a" + b"\1a" * MAX_PIECES
    assert rejected(gif[:first] + extension + hiding + b"\0" + gif[first:]) is UNREADABLE
    assert decode_image(gif[:first] + b"!\xfe\0" + gif[first:]).size == SIZE


def test_a_jpeg_without_a_scan_is_not_searched_for_one() -> None:
    jpeg = picture("JPEG")
    tables = jpeg[: jpeg.index(b"\xff\xda")]
    for rest in (b"", b"\xff" * 100_000, b"\xff\xd9" + jpeg[2:]):
        assert rejected(tables + rest) is UNREADABLE


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_what_is_cut_short_is_left_to_the_decoder(kind: str) -> None:
    whole = picture(kind)
    for length in range(len(whole)):
        try:
            refuse_endless(whole[:length])
        except PictureRejected as refused:
            assert refused.reason is UNREADABLE  # noqa: PT017 - most are not refused
