"""Pictures from untrusted bytes."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from tests.catalog.encoded import noise, picture, rejected, saved
from tests.catalog.hostile import paeth
from twinlens.catalog.errors import PictureRejected, RejectReason
from twinlens.catalog.images import MAX_PIXELS, decode_image, find_extension
from twinlens.catalog.orientation import turn_upright

TOO_LARGE, UNREADABLE = RejectReason.PICTURE_TOO_LARGE, RejectReason.PICTURE_UNREADABLE
ASKED = (192, 144)
each_kind = pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x112] = orientation
    return exif


@each_kind
def test_every_format_gives_an_rgb_picture(kind: str) -> None:
    data = picture(kind)
    image = decode_image(data)
    assert (image.mode, image.size) == ("RGB", (64, 48))
    assert np.allclose(np.asarray(image)[24, 32], (200, 30, 30), atol=12)
    assert find_extension(data) == {"JPEG": "jpg"}.get(kind, kind.lower())


def test_a_jpeg_with_a_second_picture_behind_it_is_a_jpeg() -> None:
    first, second = Image.new("RGB", (40, 30), "red"), Image.new("RGB", (40, 30), "blue")
    data = saved(first, "MPO", save_all=True, append_images=[second])
    assert find_extension(data) == "jpg"
    assert decode_image(data).getpixel((5, 5)) == (254, 0, 0)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (picture("PNG", mode="RGBA", colour=(255, 0, 0, 0)), (0, 0, 0)),
        (picture("PNG", mode="LA", colour=(200, 128)), (100, 100, 100)),
        (picture("PNG", colour=(255, 0, 0), transparency=(255, 0, 0)), (0, 0, 0)),
        (picture("PNG", mode="1", colour=1), (255, 255, 255)),
        (picture("PNG", mode="I;16", colour=0x7F7F), (127, 127, 127)),
        (picture("JPEG", mode="L", colour=100), (100, 100, 100)),
        (picture("JPEG", mode="CMYK", colour=(0, 255, 255, 0)), (255, 0, 0)),
    ],
    ids=["clear", "half-clear grey", "one clear colour", "bits", "16 bits", "grey", "cmyk"],
)
def test_every_mode_is_laid_over_black(data: bytes, expected: tuple[int, int, int]) -> None:
    image = decode_image(data)
    assert image.mode == "RGB"
    assert np.allclose(image.getpixel((5, 5)), expected, atol=2)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("at_least", [None, (90, 120), (120, 90), (179, 60), (60, 179)])
def test_a_picture_is_upright_and_as_large_as_asked(
    orientation: int, at_least: tuple[int, int] | None
) -> None:
    data = picture(size=(480, 360), exif=turned(orientation))
    width, height = decode_image(data, at_least=at_least).size
    assert (width > height) == (orientation < 5)
    if at_least is None:
        assert sorted((width, height)) == [360, 480]
    else:
        assert at_least[0] <= width < 480
        assert height >= at_least[1]


@each_kind
@pytest.mark.parametrize("size", [(2600, 2000), (2000, 2600), (1920, 1080), (400, 300)])
def test_of_a_large_picture_no_more_is_kept_than_is_needed(
    kind: str, size: tuple[int, int]
) -> None:
    width, height = decode_image(picture(kind, size=size), at_least=ASKED).size
    assert 1 <= min(width / 192, height / 144) < 2
    assert width / height == pytest.approx(size[0] / size[1], rel=0.02)


@pytest.mark.parametrize("size", [(32_767, 200), (200, 32_767), (32_767, 20), (20, 32_767)])
def test_a_strip_is_bounded_too(size: tuple[int, int]) -> None:
    width, height = decode_image(picture("PNG", size=size), at_least=ASKED).size
    assert width >= min(size[0], 192)
    assert height >= min(size[1], 144)
    assert width * height <= 32 * 192 * 144


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_picture_lies_over_black_before_it_is_shrunk(orientation: int) -> None:
    # Where it is clear it is bright, and every other column is clear: mixed first, it would glow.
    pixels = np.full((1000, 1400, 4), 255, dtype=np.uint8)
    pixels[:, ::2] = (200, 100, 50, 255)
    pixels[:, 1::2, 3] = 0
    data = saved(Image.fromarray(pixels), "PNG", exif=turned(orientation))
    shrunk = decode_image(data, at_least=ASKED)
    assert shrunk.size == ((234, 167) if orientation == 1 else (200, 280))
    assert np.allclose(np.asarray(shrunk)[1:-1, 1:-1], (100, 50, 25), atol=21)


@pytest.mark.parametrize("size", [(480, 360), (320, 180), (1280, 720), (1920, 1080), (383, 2000)])
def test_what_drafting_a_jpeg_left_is_not_shrunk_again(size: tuple[int, int]) -> None:
    data = saved(noise(size), "JPEG")
    drafted = Image.open(io.BytesIO(data))
    drafted.draft("RGB", ASKED)
    assert decode_image(data, at_least=ASKED).tobytes() == drafted.tobytes()


@pytest.mark.filterwarnings("ignore:Corrupt EXIF:UserWarning")
@pytest.mark.parametrize("garbage", [b"\xff" * 10, b"II*\0\x08\0\0\0\xff\xff", b"\0" * 10])
def test_a_broken_exif_does_not_spoil_the_picture(garbage: bytes) -> None:
    data = picture(size=(480, 360), exif=turned(6))
    start = data.index(b"Exif\0\0") + 6
    broken = data[:start] + garbage + data[start + len(garbage) :]
    assert decode_image(broken).size == (480, 360)


@each_kind
@pytest.mark.parametrize("at_least", [None, (1, 1)])
def test_a_picture_cut_short_is_refused(kind: str, at_least: tuple[int, int] | None) -> None:
    whole = saved(noise((320, 180)), kind)
    assert rejected(whole[: len(whole) // 2], at_least=at_least) is UNREADABLE


@pytest.mark.parametrize("data", [b"", b"<svg/>", b"RIFF", b"%!PS-Adobe", b"\0" * 1000])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    assert rejected(data) is rejected(b"\xff\xd8\xff") is UNREADABLE
    with pytest.raises(PictureRejected):
        find_extension(data)


def test_limits_are_met_exactly() -> None:
    data = picture("PNG", size=(100, 50))
    assert decode_image(data, max_pixels=5_000, max_bytes=len(data)).size == (100, 50)
    assert rejected(data, max_pixels=4_999) is TOO_LARGE
    assert rejected(data, max_bytes=len(data) - 1) is TOO_LARGE
    assert MAX_PIXELS >= 3840 * 2160


def test_the_picture_outlives_its_bytes_and_can_be_written_to() -> None:
    image = decode_image(picture("WEBP"))
    image.putpixel((0, 0), (1, 2, 3))
    assert image.copy().getpixel((0, 0)) == (1, 2, 3)


@given(st.binary(max_size=300), st.sampled_from([picture(kind) for kind in ("JPEG", "PNG", "GIF")]))
def test_no_bytes_raise_anything_else(noise: bytes, whole: bytes) -> None:
    for data in (noise, whole[: len(noise)] + noise + whole[len(noise) :], whole[:12] + noise):
        try:
            image = decode_image(data)
        except PictureRejected:
            continue
        assert image.mode == "RGB"


def made_in_one_piece(data: bytes, at_least: tuple[int, int] | None) -> Image.Image:
    """The same by Pillow's own steps, each of which takes a picture's memory again."""
    with Image.open(io.BytesIO(data)) as opened:
        opened.load()
        upright = ImageOps.exif_transpose(opened)
    if upright.has_transparency_data:
        rgba = upright.convert("RGBA")
        black = Image.new("RGBA", rgba.size, (0, 0, 0, 255))
        rgb = Image.alpha_composite(black, rgba).convert("RGB")
    elif upright.mode.startswith("I"):
        rgb = upright.convert("I").point(lambda level: level * (1 / 257)).convert("RGB")
    else:
        rgb = upright.convert("RGB")
    if at_least is None:
        return rgb
    return rgb.reduce(max(1, min(rgb.width // at_least[0], rgb.height // at_least[1])))


ALPHA = np.random.default_rng(2).integers(0, 256, (97, 131), dtype=np.uint8)
SOFT = Image.merge("RGBA", (*noise((131, 97)).split(), Image.fromarray(ALPHA)))


@pytest.mark.parametrize("orientation", [None, *range(1, 9)])
@pytest.mark.parametrize(
    "data",
    [
        *(pytest.param(saved(noise((131, 97)), kind), id=kind) for kind in ("PNG", "GIF", "BMP")),
        *(pytest.param(saved(SOFT.convert(mode), "PNG"), id=mode) for mode in ("RGBA", "LA", "1")),
        pytest.param(saved(SOFT.quantize(method=2), "PNG"), id="palette with alpha"),
        pytest.param(saved(SOFT.convert("P"), "GIF", transparency=7), id="GIF with a clear colour"),
        pytest.param(saved(noise((131, 97)), "PNG", transparency=(1, 2, 3)), id="clear colour"),
        pytest.param(saved(SOFT.convert("I;16"), "PNG"), id="16 bits"),
        pytest.param(saved(SOFT, "WEBP", lossless=True), id="WebP with alpha"),
        pytest.param(saved(noise((131, 97)), "WEBP"), id="WebP"),
        pytest.param(saved(noise((131, 97)), "JPEG"), id="JPEG"),
        pytest.param(saved(SOFT.convert("CMYK"), "JPEG", progressive=True), id="CMYK"),
    ],
)
def test_strips_give_the_pixels_that_the_whole_gives(
    data: bytes, orientation: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twinlens.catalog.images._STRIP_PIXELS", 1000)
    if orientation is not None:
        monkeypatch.setattr("twinlens.catalog.images.read_orientation", lambda _: orientation)
        monkeypatch.setattr(
            ImageOps, "exif_transpose", lambda image: turn_upright(image, orientation)
        )
    drafted = data.startswith(b"\xff\xd8")  # and shrunk no further
    for at_least in (None,) if drafted else (None, (60, 40), (17, 30), (1, 1)):
        image = decode_image(data, at_least=at_least)
        expected = made_in_one_piece(data, at_least)
        assert image.size == expected.size
        assert image.tobytes() == expected.tobytes()


@pytest.mark.parametrize("size", [(100_001, 1), (1, 100_001)])
def test_a_picture_has_no_side_without_end(size: tuple[int, int]) -> None:
    assert rejected(picture("PNG", size=size)) is TOO_LARGE


NO_PALETTE = paeth(20, 12, 3)
NO_PALETTE = NO_PALETTE[:33] + NO_PALETTE[33 + 12 + 768 :]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (NO_PALETTE, "a png that is broken"),
        (picture("PNG")[:8] + b"\0\0\0\0a?b!" + picture("PNG")[8:], "a png that is broken, or of"),
        (picture("JPEG").replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c"), "12 bits a sample"),
        (picture("JPEG").replace(b"\xff\xc0", b"\xff\xc3"), "lossless coding"),
        (b"II*\0" + bytes(100), "not one of JPEG, PNG, WEBP, GIF, BMP, AVIF, HEIC"),
    ],
    ids=["no palette", "odd chunks", "12 bits", "lossless", "tiff"],
)
def test_what_is_wrong_is_said_in_words(data: bytes, words: str) -> None:
    with pytest.raises(PictureRejected, match=words):
        decode_image(data)
