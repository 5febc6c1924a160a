import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from catalog.errors import EncoderUnavailable, UnencodableItems
from encoders.base import unit_rows
from encoders.load import load_thumbnail_encoder, load_title_encoder
from encoders.sentence import Prompts, SentenceEncoder, packaged_minilm

TITLES = [
    "Cricket highlights: Sri Lanka v India",
    "කොත්තු රොටි හදන හැටි",
    "சமையல் குறிப்புகள்",
    "😂🔥 #shorts",
    "x" * 5000,
    "a\x00b‮c",
]


@pytest.fixture(scope="module", params=["packaged:use-m3", "packaged:minilm"])
def encoder(request):
    return load_title_encoder(request.param, threads=2)


@pytest.mark.parametrize("count", [0, 1, len(TITLES)])
@pytest.mark.parametrize("method", ["encode", "encode_queries"])
def test_rows_are_unit_float32_vectors_whatever_their_number(encoder, count, method):
    vectors = getattr(encoder, method)(TITLES[:count])
    assert vectors.shape == (count, encoder.dim)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)


def test_a_title_has_one_vector_alone_or_among_others(encoder):
    together = encoder.encode(TITLES)
    for title, row in zip(TITLES, together, strict=True):
        np.testing.assert_allclose(encoder.encode([title])[0], row, atol=1e-4)


def test_meaning_is_closer_than_words(encoder):
    query = encoder.encode_queries(["a cat sleeps on the sofa"])[0]
    near, far = encoder.encode(["kitten napping on a couch", "a stock market crash on the news"])
    assert query @ near > query @ far + 0.1


def test_use_knows_a_meaning_across_languages():
    encoder = load_title_encoder("packaged:use-m3", threads=2)
    english, spanish, other = encoder.encode(
        ["how to cook rice", "cómo cocinar arroz", "cómo reparar un coche"]
    )
    assert english @ spanish > english @ other + 0.2


def test_fingerprints_are_stable_and_differ(encoder):
    again = load_title_encoder(encoder.name)
    assert again.fingerprint == encoder.fingerprint
    names = ["packaged:use-m3", "packaged:minilm"]
    assert len({load_title_encoder(name).fingerprint for name in names}) == 2


def test_making_an_encoder_and_asking_who_it_is_loads_no_torch():
    code = (
        "import sys; from encoders.load import load_title_encoder as load, load_thumbnail_encoder\n"
        "for e in (load('packaged:use-m3'), load('packaged:minilm'),"
        " load_thumbnail_encoder('packaged:denoiser')):\n"
        "    assert e.fingerprint and e.dim and e.name\n"
        "assert 'torch' not in sys.modules"
    )
    root = Path(__file__).parents[2]
    subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=root, env={**os.environ, "PYTHONPATH": "."}
    )


def test_a_model_directory_works_and_its_fingerprint_follows_its_files(tmp_path):
    copy = tmp_path / "model"
    copy.mkdir()
    original = packaged_minilm()
    for file in original.rglob("*"):
        target = copy / file.relative_to(original)
        if file.is_dir():
            target.mkdir()
        elif file.suffix == ".safetensors":
            target.symlink_to(file)
        else:
            target.write_bytes(file.read_bytes())
    by_path = load_title_encoder(str(copy))
    packaged = load_title_encoder("packaged:minilm")
    assert (by_path.fingerprint, by_path.dim) == (packaged.fingerprint, packaged.dim)
    config = copy / "sentence_bert_config.json"
    config.write_text(config.read_text().replace("256", "128"))
    assert load_title_encoder(str(copy)).fingerprint != packaged.fingerprint


@pytest.mark.parametrize(
    "name",
    ["intfloat/multilingual-e5-base", "intfloat/e5-small-v2", "/models/multilingual-e5-large/"],
)
def test_e5_models_get_the_query_prompt_on_both_sides(name):
    assert SentenceEncoder(name).prompts == Prompts("query: ", "query: ")


def test_a_model_s_own_prompts_are_used(tmp_path):
    (tmp_path / "modules.json").write_text("[]")
    (tmp_path / "config_sentence_transformers.json").write_text(
        '{"prompts": {"query": "Q: ", "passage": "P: "}}'
    )
    assert SentenceEncoder(str(tmp_path)).prompts == Prompts("Q: ", "P: ")


@pytest.mark.parametrize("name", ["packaged:nonsense", "not/a/model", "", "no-such-model\x00"])
def test_a_model_that_is_not_there_names_the_offline_choices(name):
    with pytest.raises(EncoderUnavailable, match="packaged:use-m3"):
        _ = load_title_encoder(name).fingerprint


def test_a_hub_that_is_out_of_reach_names_the_offline_choices(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(EncoderUnavailable, match="packaged:use-m3"):
        _ = load_title_encoder("intfloat/multilingual-e5-base").fingerprint


def test_a_directory_that_is_no_model_says_so(tmp_path):
    with pytest.raises(EncoderUnavailable, match="can't be loaded"):
        load_title_encoder(str(tmp_path)).encode(["x"])


def test_a_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for module in ("encoders.use", "encoders.sentence"):
        monkeypatch.setattr(f"{module}.find_spec", lambda name: None)
    for name in ("packaged:use-m3", "packaged:minilm"):
        with pytest.raises(EncoderUnavailable, match=r"twinlens\[packaged\]"):
            load_title_encoder(name)


def test_no_packaged_thumbnail_model_of_that_name():
    with pytest.raises(EncoderUnavailable, match="packaged:denoiser"):
        load_thumbnail_encoder("packaged:nonsense")


def test_unit_rows_names_the_rows_it_can_t_scale_and_leaves_its_argument_alone():
    matrix = np.array([[3.0, 4.0], [0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0]])
    before = matrix.copy()
    with pytest.raises(UnencodableItems) as caught:
        unit_rows(matrix)
    assert caught.value.rows == (1, 2, 3)
    np.testing.assert_array_equal(matrix, before)
    np.testing.assert_allclose(unit_rows(matrix[:1]), [[0.6, 0.8]], rtol=1e-6)
