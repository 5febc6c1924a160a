"""Pictures of more pieces than an honest one has are refused before a decoder reads them."""

from __future__ import annotations

import io
import re
import zlib

import pytest
from PIL import Image

from tests.catalog.encoded import chunk, picture, saved, segment
from twinlens.catalog import containers
from twinlens.catalog.containers import MAX_PIECES, refuse_endless
from twinlens.catalog.errors import PictureRejected, RejectReason
from twinlens.catalog.images import decode_image

TOO_LARGE, UNREADABLE = RejectReason.PICTURE_TOO_LARGE, RejectReason.PICTURE_UNREADABLE
JPEG, PNG, GIF = picture("JPEG"), picture("PNG"), picture("GIF")
PROGRESSIVE = picture("JPEG", progressive=True)
FIRST_BLOCK = 13 + (6 << (GIF[10] & 7))


def assert_read(*pictures: bytes) -> None:
    for data in pictures:
        assert decode_image(data).size == (64, 48)


def refused(data: bytes) -> RejectReason:
    """Why, by what has read no pixel yet."""
    with pytest.raises(PictureRejected) as caught:
        refuse_endless(data)
    return caught.value.reason


def jpeg(*segments: bytes) -> bytes:
    return JPEG[:2] + b"".join(segments) + JPEG[2:]


def png(*chunks: bytes) -> bytes:
    return PNG[:33] + b"".join(chunks) + PNG[33:]


def gif(*blocks: bytes) -> bytes:
    return GIF[:FIRST_BLOCK] + b"".join(blocks) + GIF[FIRST_BLOCK:]


def with_more_scans(jpeg: bytes, scans: int) -> bytes:
    """The same picture, whose last scan comes so often that there are ``scans``."""
    last = jpeg.rindex(b"\xff\xda")
    return jpeg[:last] + jpeg[last:-2] * (scans - jpeg.count(b"\xff\xda") + 1) + jpeg[-2:]


def test_a_jpeg_of_scans_without_end_is_refused() -> None:
    # A film behind the picture, as telephones put it there, may look like anything.
    assert_read(PROGRESSIVE, PROGRESSIVE + b"\xff\xda" * 1000)
    # One more brings bits that are there already, which no encoder does.
    assert refused(with_more_scans(PROGRESSIVE, PROGRESSIVE.count(b"\xff\xda") + 1)) is TOO_LARGE
    padded = with_more_scans(PROGRESSIVE, 1000).replace(b"\xff\xda", b"\xff\xff\xda")
    assert refused(padded) is TOO_LARGE


@pytest.mark.parametrize("kind", [0x02, 0x4F, 0xBF, 0xC8, 0xD8, 0xDE, 0xDF, 0xF0, 0xFD])
def test_scans_cannot_hide_in_what_libjpeg_reads_otherwise(kind: int) -> None:
    """In a scan with restarts libjpeg drops FF 02, and reads what its length seems to skip."""
    last = PROGRESSIVE.rindex(b"\xff\xda")
    scan = PROGRESSIVE[last:-2]
    hiding = segment(0xDD, b"\0\1") + scan + segment(kind, scan * 100)
    assert refused(PROGRESSIVE[:last] + hiding + PROGRESSIVE[last:]) is UNREADABLE


def test_marks_that_stand_alone_hide_nothing_and_restarts_are_read() -> None:
    restarted = picture("JPEG", progressive=True, restart_marker_blocks=1)
    assert restarted.count(b"\xff\xd0") > 0
    assert_read(restarted)
    scans = with_more_scans(restarted, 1000)
    for alone in (b"\xff\x01", b"\xff\xd5", b"\xff\0", b"\xff\xff"):
        assert refused(scans.replace(b"\xff\xda", alone + b"\0\0\xff\xda")) is TOO_LARGE


@pytest.mark.parametrize("whole", [JPEG, PROGRESSIVE])
def test_an_arithmetic_jpeg_is_refused_before_it_is_decoded(whole: bytes) -> None:
    """The same scans, said to be coded arithmetically: any bytes can be decoded as such."""
    at = re.search(rb"\xff[\xc0\xc2]", whole).start() + 1
    coded = whole[:at] + bytes([{0xC0: 0xC9, 0xC2: 0xCA}[whole[at]]]) + whole[at + 1 :]
    with Image.open(io.BytesIO(coded)) as opened:
        opened.load()  # Pillow would
    for data in (coded, coded.replace(b"\xff\xdb", b"\xff\xff\xdb")):
        with pytest.raises(PictureRejected, match="arithmetic coding") as caught:
            decode_image(data)
        assert caught.value.reason is UNREADABLE


def test_every_arithmetic_or_second_frame_is_refused_and_what_only_looks_like_one_is_read() -> None:
    """In a comment, in a thumbnail of EXIF, behind the picture."""
    for kind in (0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF):
        assert refused(JPEG.replace(b"\xff\xc0", bytes([0xFF, kind]))) is UNREADABLE
    second = segment(0xC0, b"\x08\0\x30\0\x40\3" + b"\1\x22\0" * 20_000)
    assert refused(jpeg(second)) is UNREADABLE
    frame = segment(0xCA, bytes(15))
    assert_read(jpeg(segment(0xFE, frame), segment(0xE1, b"Exif\0\0" + frame)) + frame)


def test_a_jpeg_of_exif_without_end_is_refused() -> None:
    """Pillow joins the segments, and reads the resolution in them when it opens the picture."""
    many = [segment(0xE1, b"Exif\0\0" + bytes(65_000))] * (containers.MAX_EXIF_BYTES // 65_000)
    other = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + bytes(65_000))
    assert_read(jpeg(*many), jpeg(other * 10))
    assert refused(jpeg(*many, many[0])) is TOO_LARGE


def test_a_jpeg_of_segments_without_end_is_refused() -> None:
    note = b"\xff\xfe\0\3\xda"
    # The segments of an honest one are skipped, whatever is in them.
    whatever = segment(0xE5, b"\xff\xda\xff\x02\xff\xd9" * 10_000)
    assert_read(jpeg(note * 900), jpeg(whatever * 3))
    assert refused(jpeg(note * containers.MAX_SEGMENTS)) is TOO_LARGE


@pytest.mark.parametrize("junk", [b"\xff", b"\0", b"\xff\0", b"\xff\xd0"])
def test_between_its_segments_a_jpeg_has_next_to_nothing(junk: bytes) -> None:
    first = 4 + int.from_bytes(JPEG[4:6])

    def padded(size: int) -> bytes:
        return JPEG[:first] + junk * (size // len(junk)) + JPEG[first:]

    assert_read(padded(1000))
    assert refused(padded(containers.MAX_JUNK_BYTES + 100)) is TOO_LARGE
    # What is between the marks of a scan is the picture.
    scan = JPEG.rindex(b"\xff\xda")
    refuse_endless(JPEG[:scan] + segment(0xDA, b"\1" * 6) + b"\1" * 200_000 + JPEG[-2:])


def test_a_jpeg_without_a_scan_is_not_searched_for_one() -> None:
    tables = JPEG[: JPEG.index(b"\xff\xda")]
    for rest in (b"", b"\xff" * 100_000, b"\xff\xd9" + JPEG[2:]):
        assert refused(tables + rest) is UNREADABLE


@pytest.mark.parametrize("kind", [b"aaAa", b"IDAT", b"fdAT"])
def test_a_png_of_chunks_without_end_or_two_profiles_is_refused(kind: bytes) -> None:
    # What lies behind the end is not read.
    assert_read(png(chunk(b"aaAa") * 1000), PNG + chunk(kind) * MAX_PIECES)
    assert refused(png(chunk(kind) * MAX_PIECES)) is TOO_LARGE
    profile = chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(1 << 20), 9))
    assert_read(png(profile))
    assert refused(png(profile * 2)) is TOO_LARGE


@pytest.mark.parametrize("block", [b"\1a", b"\xff" + b"a" * 255])
def test_a_gif_of_blocks_without_end_is_refused(block: bytes) -> None:
    assert GIF[FIRST_BLOCK : FIRST_BLOCK + 1] in (b"!", b",")
    assert_read(gif(b"!\xfe", block * 1000, b"\0"), GIF + block * MAX_PIECES)
    assert refused(gif(b"!\xfe", block * MAX_PIECES, b"\0")) is TOO_LARGE
    assert refused(gif(b"!\xfe\1a\0" * MAX_PIECES)) is TOO_LARGE
    assert refused(gif(bytes(MAX_PIECES + 1))) is TOO_LARGE


def test_of_a_film_in_a_gif_only_what_lies_before_its_first_picture_counts() -> None:
    first, *more = (Image.new("P", (64, 48), number) for number in range(20))
    assert_read(saved(first, "GIF", save_all=True, append_images=more, comment=b"a" * 9000))


@pytest.mark.parametrize("extension", [b"!\xf9\0", b"!\xff\0", b"!\xff\x0bNETSCAPE2.0\0"])
def test_blocks_cannot_hide_where_pillow_reads_on_behind_an_extension(extension: bytes) -> None:
    assert refused(gif(extension, b",a" + b"\1a" * MAX_PIECES, b"\0")) is UNREADABLE
    assert_read(gif(b"!\xfe\0"))


@pytest.mark.parametrize("whole", [PNG, GIF])
def test_what_is_cut_short_is_left_to_the_decoder(whole: bytes) -> None:
    for length in range(len(whole)):
        try:
            refuse_endless(whole[:length])
        except PictureRejected as caught:
            assert caught.reason is UNREADABLE  # noqa: PT017 - most are not refused
