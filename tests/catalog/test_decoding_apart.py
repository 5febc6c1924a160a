"""AVIF and HEIC: what they show, what they may cost, and the process that decodes them."""

from __future__ import annotations

import random
import signal
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from tests.catalog.encoded import noise, picture, rejected, resized, saved
from twinlens.catalog import decoding_apart
from twinlens.catalog.errors import PictureRejected, RejectReason
from twinlens.catalog.images import decode_image, find_extension
from twinlens.catalog.thumbnails import Thumbnails

pillow_heif = pytest.importorskip("pillow_heif")
pillow_heif.register_heif_opener()  # to write some
pytestmark = pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")
TOO_LARGE, UNREADABLE = RejectReason.PICTURE_TOO_LARGE, RejectReason.PICTURE_UNREADABLE
each_kind = pytest.mark.parametrize("kind", ["AVIF", "HEIF"])


def process_id() -> int:
    running = decoding_apart._process._running
    assert running is not None
    return running.pid


@each_kind
@pytest.mark.parametrize("size", [(64, 48), (512, 288)])
def test_either_gives_an_rgb_picture(kind: str, size: tuple[int, int]) -> None:
    data = picture(kind, size=size)
    assert find_extension(data) == {"AVIF": "avif", "HEIF": "heic"}[kind]
    image = decode_image(data, at_least=(192, 144))
    assert image.mode == "RGB"
    assert image.size == (size if size[0] == 64 else (256, 144))
    assert np.allclose(np.asarray(image)[24, 32], (200, 30, 30), atol=12)
    assert np.asarray(decode_image(data)).shape == (*size[::-1], 3)


@each_kind
def test_what_is_clear_lies_over_what_is_asked_for(kind: str) -> None:
    data = saved(Image.new("RGBA", (64, 48), (250, 0, 0, 128)), kind)
    for over, expected in ((0, (125, 0, 0)), (128, (189, 64, 64))):
        assert np.allclose(decode_image(data, over=over).getpixel((9, 9)), expected, atol=9)


@each_kind
def test_a_picture_on_its_side_is_turned(kind: str) -> None:
    exif = Image.Exif()
    exif[0x112] = 6
    half = Image.new("RGB", (64, 48), "white")
    half.paste("black", (0, 0, 32, 48))
    image = decode_image(saved(half, kind, exif=exif.tobytes()))
    assert image.size == (48, 64)
    assert max(image.getpixel((24, 8))) < 30
    assert min(image.getpixel((24, 56))) > 220


@each_kind
def test_what_is_cut_short_or_changed_is_refused_and_nothing_worse(kind: str) -> None:
    whole = saved(noise((64, 48)), kind)
    assert rejected(whole[: len(whole) // 2]) is UNREADABLE
    rng = random.Random(7)
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(3):
            data[rng.randrange(12, min(len(data), rng.choice((300, len(data)))))] = rng.randrange(
                256
            )
        with suppress(PictureRejected):
            assert decode_image(bytes(data), at_least=(32, 24)).mode == "RGB"
    decode_image(whole)


def test_limits_hold_for_what_a_box_says() -> None:
    small = picture("AVIF")
    assert rejected(resized(small, 32_000, 32_000)) in (TOO_LARGE, UNREADABLE)
    assert rejected(small, max_pixels=3071) is TOO_LARGE
    assert rejected(small, max_bytes=len(small) - 1) is TOO_LARGE


def test_a_picture_that_takes_long_ends_the_process_and_the_next_has_another(monkeypatch) -> None:
    small, large = picture("AVIF"), saved(noise((900, 900)), "AVIF", speed=10)
    decode_image(small)
    before = process_id()
    # A box that says 8 x 8 doesn't make it cheaper.
    monkeypatch.setattr(decoding_apart, "MAX_CPU_S", 0.01)
    with pytest.raises(PictureRejected, match="s of a core") as refused:
        decode_image(resized(large, 8, 8))
    assert refused.value.reason is TOO_LARGE
    monkeypatch.undo()
    assert decode_image(small).size == (64, 48)
    assert process_id() != before


def test_a_picture_that_takes_much_memory_is_refused(monkeypatch) -> None:
    data = picture("AVIF", size=(1500, 1500), speed=10)
    decoding_apart._process.end()
    monkeypatch.setattr(decoding_apart, "MAX_MEMORY", 12_000_000)
    with pytest.raises(PictureRejected, match="memory"):
        decode_image(data)
    decoding_apart._process.end()


def test_a_process_that_was_killed_meanwhile_is_started_again() -> None:
    small = picture("AVIF")
    decode_image(small)
    running = decoding_apart._process._running
    assert running is not None
    running.kill()
    running.wait()
    assert decode_image(small).size == (64, 48)
    # What tells the server to finish is not meant for it.
    for number in (signal.SIGTERM, signal.SIGINT):
        decoding_apart._process._running.send_signal(number)
    before = process_id()
    assert decode_image(small).size == (64, 48)
    assert process_id() == before


def test_heic_without_its_extra_says_so(monkeypatch, tmp_path: Path) -> None:
    decoding_apart._process.end()
    (tmp_path / "pillow_heif.py").write_text("raise ImportError")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PictureRejected, match=r"twinlens\[heic\]"):
        decode_image(picture("HEIF"))
    decoding_apart._process.end()


def test_heic_is_served_as_webp_and_what_is_clear_on_grey(tmp_path: Path) -> None:
    thumbnails = Thumbnails(tmp_path)
    clear = saved(Image.new("RGBA", (64, 48), (0, 0, 0, 0)), "PNG")
    for name, data, width, media_type in (
        ("a" * 64 + ".heic", picture("HEIF"), None, "image/webp"),
        ("b" * 64 + ".heic", picture("HEIF"), 32, "image/webp"),
        ("c" * 64 + ".avif", picture("AVIF"), None, "image/avif"),
        ("d" * 64 + ".png", clear, None, "image/png"),
        ("e" * 64 + ".png", clear, 32, "image/webp"),
        ("f" * 64 + ".png", clear, 320, "image/webp"),
        ("0" * 64 + ".png", picture("PNG"), 320, "image/png"),
    ):
        (tmp_path / name).write_bytes(data)
        served = thumbnails.read(name, width)
        assert served.media_type == media_type, name
        if width and data is clear:
            assert decode_image(served.data).getpixel((9, 9)) == (128, 128, 128)
