"""Black bars are found, dark pictures are left alone, and any size fits."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageFilter, ImageOps

from tests.encoders.drawn_pictures import drawn_picture
from twinlens.encoders.thumbnails.pictures import find_box, fit_picture


def boxed(seed: int, size: tuple[int, int], bars: tuple[int, int]) -> Image.Image:
    """A picture with black bars of ``bars`` pixels at its sides, and above and below."""
    return ImageOps.expand(drawn_picture(seed, size=size), border=bars, fill=(0, 0, 0))


@pytest.mark.parametrize(
    ("seed", "size", "bars", "within"),
    [
        *((seed, (320, 180), (0, bar), 0) for seed in range(5) for bar in (0, 10, 30, 60)),
        *((1, (101, 180), (bar, 0), 0) for bar in (20, 70)),
        (2, (180, 180), (70, 45), 0),
        (3, (1920, 1080), (0, 180), 4),  # searched in a reduced picture
    ],
)
def test_bars_are_found_and_a_picture_without_any_is_left_whole(
    seed: int, size: tuple[int, int], bars: tuple[int, int], within: int
) -> None:
    wanted = (*bars, bars[0] + size[0], bars[1] + size[1])
    assert np.allclose(find_box(boxed(seed, size, bars)), wanted, rtol=0, atol=within)


@pytest.mark.parametrize("damage", ["noise", "jpeg", "blur"])
def test_damaged_bars_are_found(damage: str) -> None:
    damaged = boxed(4, (480, 270), (0, 45))
    if damage == "noise":
        noise = np.random.default_rng(0).normal(0, 20, (360, 480, 3))
        damaged = Image.fromarray((np.asarray(damaged) + noise).clip(0, 255).astype(np.uint8))
    elif damage == "jpeg":
        buffer = io.BytesIO()
        damaged.save(buffer, "JPEG", quality=10)
        damaged = Image.open(buffer)
    else:
        damaged = damaged.filter(ImageFilter.GaussianBlur(3))
    left, top, right, bottom = find_box(damaged)
    assert (left, right) == (0, 480)
    assert max(abs(top - 45), abs(bottom - 315)) <= 8


def test_what_is_dark_is_not_taken_for_bars() -> None:
    rim = Image.new("RGB", (320, 180), (5, 5, 8))  # on one side only
    rim.paste(drawn_picture(5, size=(320, 100)), (0, 80))
    faint = drawn_picture(6).point([level // 8 for level in range(256)] * 3)
    light = Image.new("RGB", (320, 180), (4, 4, 4))
    light.paste((250, 220, 120), (150, 80, 170, 100))
    flat = (Image.new("RGB", (320, 180), (level,) * 3) for level in (0, 255, 20))
    for picture in (rim, faint, light, *flat):
        assert find_box(picture) == (0, 0, 320, 180)


def test_what_is_left_between_the_bars_is_what_comes_out() -> None:
    plain, barred = (boxed(7, (320, 180), (0, bar)) for bar in (0, 30))
    assert np.array_equal(*(fit_picture(one, size=(128, 72)) for one in (plain, barred)))


@pytest.mark.parametrize(
    "size", [(1, 1), (2, 1), (1, 300), (10_000, 2), (3, 5_000), (17, 17), (4_000, 3_000)]
)
def test_any_size_fits(size: tuple[int, int]) -> None:
    fitted = fit_picture(Image.new("RGB", size, (200, 100, 50)), size=(128, 72))
    assert fitted.shape == (72, 128, 3)
    assert fitted.dtype == np.uint8
    assert np.array_equal(np.unique(fitted.reshape(-1, 3), axis=0), [[200, 100, 50]])


def test_pixels_are_not_scrambled() -> None:
    """Left is left, top is top, red is red."""
    picture = Image.new("RGB", (320, 180), (0, 0, 255))
    picture.paste((255, 0, 0), (0, 0, 160, 90))
    fitted = fit_picture(picture, size=(128, 72))
    assert fitted[5, 5].tolist() == [255, 0, 0]
    for row, column in [(5, 120), (65, 5), (65, 120)]:
        assert fitted[row, column].tolist() == [0, 0, 255]
