"""Black bars are found, dark pictures are left alone, and any size fits."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageFilter, ImageOps

from tests.encoders.drawn_pictures import drawn_picture
from twinlens.encoders.thumbnails.pictures import fit_picture, picture_box


def letterboxed(picture: Image.Image, bar: int) -> Image.Image:
    return ImageOps.expand(picture, border=(0, bar), fill=(0, 0, 0))


def pillarboxed(picture: Image.Image, bar: int) -> Image.Image:
    return ImageOps.expand(picture, border=(bar, 0), fill=(0, 0, 0))


@pytest.mark.parametrize("seed", range(5))
def test_a_picture_without_bars_is_left_whole(seed: int) -> None:
    assert picture_box(drawn_picture(seed)) == (0, 0, 320, 180)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("bar", [10, 30, 60])
def test_letterbox_rows_are_found(seed: int, bar: int) -> None:
    boxed = letterboxed(drawn_picture(seed), bar)
    assert picture_box(boxed) == (0, bar, 320, 180 + bar)


@pytest.mark.parametrize("bar", [20, 70])
def test_pillarbox_columns_are_found(bar: int) -> None:
    boxed = pillarboxed(drawn_picture(1, size=(101, 180)), bar)
    assert picture_box(boxed) == (bar, 0, 101 + bar, 180)


def test_bars_on_all_four_sides_are_found() -> None:
    boxed = letterboxed(pillarboxed(drawn_picture(2, size=(180, 180)), 70), 45)
    assert picture_box(boxed) == (70, 45, 250, 225)


def test_bars_are_found_in_large_pictures_to_within_the_reduction() -> None:
    boxed = letterboxed(drawn_picture(3, size=(1920, 1080)), 180)
    assert np.allclose(picture_box(boxed), (0, 180, 1920, 1260), atol=4)


@pytest.mark.parametrize("damage", ["noise", "jpeg", "blur"])
def test_damaged_bars_are_found(damage: str) -> None:
    boxed = letterboxed(drawn_picture(4, size=(480, 270)), 45)
    if damage == "noise":
        noise = np.random.default_rng(0).normal(0, 20, (360, 480, 3))
        boxed = Image.fromarray((np.asarray(boxed) + noise).clip(0, 255).astype(np.uint8))
    elif damage == "jpeg":
        buffer = io.BytesIO()
        boxed.save(buffer, "JPEG", quality=10)
        boxed = Image.open(buffer)
    else:
        boxed = boxed.filter(ImageFilter.GaussianBlur(3))
    left, top, right, bottom = picture_box(boxed)
    assert (left, right) == (0, 480)
    assert abs(top - 45) <= 8
    assert abs(bottom - 315) <= 8


def test_a_dark_rim_on_one_side_is_part_of_the_picture() -> None:
    night = Image.new("RGB", (320, 180), (5, 5, 8))
    night.paste(drawn_picture(5, size=(320, 100)), (0, 80))
    assert picture_box(night) == (0, 0, 320, 180)


def test_a_faint_picture_is_not_taken_for_a_bar() -> None:
    faint = drawn_picture(6).point([level // 8 for level in range(256)] * 3)
    assert picture_box(faint) == (0, 0, 320, 180)


def test_a_light_in_the_dark_is_not_eaten() -> None:
    dark = Image.new("RGB", (320, 180), (4, 4, 4))
    dark.paste((250, 220, 120), (150, 80, 170, 100))
    assert picture_box(dark) == (0, 0, 320, 180)


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (20, 20, 20)])
def test_a_picture_of_one_colour_is_left_whole(colour: tuple[int, int, int]) -> None:
    assert picture_box(Image.new("RGB", (320, 180), colour)) == (0, 0, 320, 180)


def test_what_is_left_between_the_bars_is_what_comes_out() -> None:
    picture = drawn_picture(7)
    plain = fit_picture(picture, size=(128, 72)).astype(int)
    boxed = fit_picture(letterboxed(picture, 30), size=(128, 72)).astype(int)
    assert np.array_equal(plain, boxed)


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
