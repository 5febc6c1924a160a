"""Encoders set against each other: the measures by hand, the baselines, the command as a whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from twinlens.cli import main
from twinlens.encoders.thumbnails.pictures import find_box
from twinlens.encoders.thumbnails.training import is_held_out
from twinlens.evaluate.distortions import DISTORTIONS, Distortion
from twinlens.evaluate.thumbnails import (
    Pixels,
    check_health,
    find_originals,
    scale_to_unit,
    share_category,
)


def drawn(seed: int, *, size: tuple[int, int] = (160, 90)) -> Image.Image:
    """Boxes over a coloured ground, unlike those of other seeds, bright at the rim."""
    rng = np.random.default_rng(seed)
    width, height = size
    ground = Image.fromarray(rng.integers(60, 256, (3, 4, 3), dtype=np.uint8))
    picture = ground.resize(size, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture)
    for _ in range(5):
        left, top = int(rng.integers(width)), int(rng.integers(height))
        right, bottom = left + width // 4, top + height // 4
        pen.rectangle((left, top, right, bottom), fill=tuple(map(int, rng.integers(0, 256, 3))))
    pen.rectangle((0, 0, width - 1, height - 1), outline=(230, 230, 230), width=3)
    return picture


def barred(seed: int) -> Image.Image:
    """A 16:9 picture in a 4:3 frame, black above and below."""
    frame = Image.new("RGB", (160, 120))
    frame.paste(drawn(seed), (0, 15))
    return frame


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder of labelled pictures."""

    def make(count: int, *, broken: int = 0, categories: bool = True) -> Path:
        made = tmp_path / f"pictures-{count}"
        made.mkdir()
        rows = []
        for number in range(count + broken):
            name = f"{number}.jpg"
            if number < count:
                barred(number).resize((80, 60)).save(made / name, quality=92)
            else:
                (made / name).write_bytes(b"no picture")
            row = {"file_name": name, "video_id": f"video-{number}"}
            rows.append(json.dumps(row | ({"category": "ab"[number % 2]} if categories else {})))
        (made / "metadata.jsonl").write_text("\n".join(rows))
        return made

    return make


def test_found_counts_places_and_shares_ties() -> None:
    gallery = scale_to_unit(np.array([[1, 0], [0, 1], [1, 1], [1, 1]], dtype=np.float32))
    queries, places = gallery[[0, 0, 2]], np.array([0, 1, 2])
    # The second asks for row 1 with row 0's vector: all others come before it. Rows 2 and 3 tie.
    for within, shares in ((1, [1.0, 0.0, 0.5]), (3, [1.0, 0.0, 1.0]), (4, [1.0, 1.0, 1.0])):
        assert find_originals(queries, gallery, places, within=within).tolist() == shares
    # A code of zeros finds by chance.
    nothing = np.zeros((10, 4), dtype=np.float32)
    assert np.allclose(find_originals(nothing, nothing, np.arange(10), within=1), 0.1)
    kinds = np.array(["a"] * 4 + ["b"] * 6)
    assert np.allclose(share_category(nothing, kinds, within=1), [3 / 9] * 4 + [5 / 9] * 6)


def test_alike_leaves_the_picture_itself_out() -> None:
    """Twelve on a circle: the nearest of 0 is 1 (its own kind), of 11 is 10 (another kind)."""
    angles = np.array([0, 1, *range(10, 90, 8)], dtype=np.float32) * np.pi / 180
    gallery = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    kinds = np.array(["a", "a", *"bbbbbbbbb", "c"])
    assert share_category(gallery, kinds, within=1)[[0, 11]].tolist() == [1.0, 0.0]
    # Of 0's ten nearest one is an "a"; "c" is alone.
    assert share_category(gallery, kinds, within=10)[[0, 11]].tolist() == [0.1, 0.0]


@given(st.integers(12, 40), st.integers(1, 6), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_found_and_alike_agree_with_sorting(count: int, dim: int, seed: int) -> None:
    """Against the ranking written out, where nothing ties or nearly does."""
    rng = np.random.default_rng(seed)
    gallery = scale_to_unit(rng.normal(size=(count, dim + 1)).astype(np.float32))
    queries = scale_to_unit(gallery + rng.normal(0, 0.3, gallery.shape).astype(np.float32))
    kinds = rng.choice(list("abc"), count)
    places = np.arange(count)
    order = np.argsort(-(queries @ gallery.T), axis=1)
    similarity = gallery @ gallery.T
    np.fill_diagonal(similarity, -np.inf)
    nearest = np.argsort(-similarity, axis=1)
    for table in (queries @ gallery.T, gallery @ gallery.T):
        assume(np.diff(np.sort(table, axis=1)).min() > 3e-6)
    for depth in (1, 10):
        expected = (order[:, :depth] == places[:, None]).any(axis=1)
        assert np.allclose(find_originals(queries, gallery, places, within=depth), expected)
        shares = (kinds[nearest[:, :depth]] == kinds[:, None]).mean(axis=1)
        assert np.allclose(share_category(gallery, kinds, within=depth), shares)


def test_health_counts_what_is_silent() -> None:
    codes = np.random.default_rng(0).random((50, 6)).astype(np.float32)
    codes[:, 0] = 0.0
    codes[:, 1] = 3.0
    codes[7] = 0.0
    codes[7, 1] = 3.0
    measured = check_health(codes)
    assert (measured.dim, measured.dead_outputs, measured.ever_nonzero) == (6, 2, 5)
    assert measured.zero_vectors == 0
    silent = check_health(np.zeros((5, 3), dtype=np.float32))
    assert (silent.dead_outputs, silent.ever_nonzero, silent.zero_vectors) == (3, 0, 5)
    assert silent.effective_rank == 0


def test_half_of_the_distortions_are_not_trained_for() -> None:
    assert 10 <= len(DISTORTIONS) <= 2 * sum(not one.seen for one in DISTORTIONS)
    assert len({one.name for one in DISTORTIONS}) == len(DISTORTIONS)


@pytest.mark.parametrize("distortion", DISTORTIONS, ids=lambda one: one.name)
@pytest.mark.parametrize("picture", [drawn(3), barred(3)], ids=["whole", "barred"])
def test_distortions_change_the_picture_and_repeat(
    distortion: Distortion, picture: Image.Image
) -> None:
    before = picture.tobytes()
    once, again = distortion.apply(picture), distortion.apply(picture)
    assert picture.tobytes() == before
    assert once.mode == "RGB"
    assert once.tobytes() == again.tobytes() != before


@pytest.mark.parametrize("name", ["crop 60 %", "caption", "rotation 5 degrees"])
def test_an_edited_picture_keeps_its_bars(name: str) -> None:
    (edit,) = (one.apply for one in DISTORTIONS if one.name == name)
    frame = barred(5)
    assert find_box(frame) == (0, 15, 160, 105)
    assert edit(frame).size == frame.size
    assert not np.asarray(edit(frame))[:15].any()
    assert np.asarray(edit(frame))[20:100].any()


def test_pixels_see_neither_bars_nor_brightness() -> None:
    whole, framed = Pixels().encode([drawn(0)]), Pixels().encode([barred(0)])
    assert whole.shape == (1, Pixels.dim)
    assert np.allclose(whole, framed, atol=2)
    darker = drawn(0).point(lambda level: level // 2)
    cosine = (scale_to_unit(whole) @ scale_to_unit(Pixels().encode([darker])).T).item()
    assert cosine > 0.999


def invoke(*arguments: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["evaluate", "thumbnails", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.slow
def test_the_command_tells_of_every_encoder(folder: Callable[..., Path], tmp_path: Path) -> None:
    source = folder(66, broken=1)
    told, drawn_to = tmp_path / "report.json", tmp_path / "report.png"
    code, stdout, stderr = invoke(source, "--json", told, "--plot", drawn_to)
    assert code == 0, stderr
    report = json.loads(told.read_text())
    denoiser, pixels = report["encoders"]
    assert (denoiser["name"], pixels["name"]) == ("packaged:denoiser", "pixels")
    assert (report["pictures"], report["categories"]) == (66, 2)
    assert report["asked"] == sum(is_held_out(f"video-{at}") for at in range(66)) < 20
    (left_out,) = report["left_out"]
    assert "video-66" in left_out
    groups = pixels["recall"]["1"]
    assert groups["by_distortion"]["blur"]["value"] == 1.0
    assert groups["by_distortion"]["flip"]["value"] < 0.5
    seen = sum(one.seen for one in DISTORTIONS)
    assert groups["all"]["value"] * len(DISTORTIONS) == pytest.approx(
        groups["seen"]["value"] * seen + groups["unseen"]["value"] * (len(DISTORTIONS) - seen),
        abs=1e-3,
    )
    assert pixels["recall"]["10"]["all"]["value"] >= groups["all"]["value"]
    assert 0.2 < pixels["likeness_all"]["1"]["value"] < 0.8
    above = denoiser["likeness_all"]["1_above_pixels"]["value"]
    assert above == pytest.approx(
        denoiser["likeness_all"]["1"]["value"] - pixels["likeness_all"]["1"]["value"], abs=1e-4
    )
    assert denoiser["health"]["dead_outputs"] == 0
    for name in ("denoiser", "pixels", "1-NN category", "effective rank"):
        assert name in stdout
    assert "left out, 1: video-66" in stdout
    assert drawn_to.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_pictures_without_categories_have_no_likeness(
    folder: Callable[..., Path], tmp_path: Path
) -> None:
    told, drawn_to = tmp_path / "report.json", tmp_path / "report.png"
    options = ("--encoder", "pixels", "--ask", "all", "--json", told, "--plot", drawn_to)
    code, stdout, stderr = invoke(folder(64, categories=False), *options)
    assert code == 0, stderr
    report = json.loads(told.read_text())
    (pixels,) = report["encoders"]
    assert pixels["likeness_asked"] == pixels["likeness_all"] == {}
    assert report["asked"] == 64
    assert "1-NN" not in stdout
    assert drawn_to.read_bytes().startswith(b"\x89PNG")


def test_too_few_pictures_are_refused_by_name(folder: Callable[..., Path]) -> None:
    code, _, stderr = invoke(folder(63, broken=2), "--encoder", "pixels")
    assert code == 2
    for said in ("63 readable pictures; at least 64 are needed", "video-63", "video-64"):
        assert said in stderr


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("packaged:nonsense", "packaged:denoiser"),
        pytest.param(
            *("nowhere", "choose --thumbnail-model packaged:denoiser"), marks=pytest.mark.slow
        ),
    ],
)
def test_encoders_that_are_not_there_are_refused(tmp_path: Path, name: str, message: str) -> None:
    code, _, stderr = invoke(tmp_path, "--encoder", name)
    assert code == 2
    assert message in stderr
