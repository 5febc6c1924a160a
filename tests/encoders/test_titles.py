import contextlib
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.encoders.small_models import save_small_bert
from tests.http_server import serving
from twinlens.catalog.errors import EncoderUnavailable, UnencodableItems
from twinlens.catalog.vectors import unit_rows
from twinlens.encoders.load import OFFLINE_TITLE_MODELS, load_thumbnail_encoder, load_title_encoder
from twinlens.encoders.sentence import Prompts, SentenceEncoder, find_packaged_minilm
from twinlens.encoders.thumbnails import PACKAGED_MODEL

TITLES = [
    "Cricket highlights: Sri Lanka v India",
    "කොත්තු රොටි හදන හැටි",
    "சமையல் குறிப்புகள்",
    "new ගීතය song",
    "😂🔥 #shorts",
    "x" * 5000,
    "a\x00b‮c",
]


@pytest.fixture(scope="module", params=OFFLINE_TITLE_MODELS)
def encoder(request):
    return load_title_encoder(request.param, threads=1)


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


def test_fingerprints_are_stable_and_differ(encoder):
    again = load_title_encoder(encoder.name)
    assert again.fingerprint == encoder.fingerprint
    found = {load_title_encoder(name).fingerprint for name in OFFLINE_TITLE_MODELS}
    assert len(found) == len(OFFLINE_TITLE_MODELS)


def test_making_an_encoder_and_asking_who_it_is_loads_no_torch():
    code = (
        "import sys; from encoders.load import load_title_encoder as load, load_thumbnail_encoder\n"
        "for e in (*map(load, ['packaged:e5-small', 'packaged:use-m3-bridge', 'packaged:minilm']),"
        " load_thumbnail_encoder('packaged:denoiser')):\n"
        "    assert e.fingerprint and e.dim and e.name and not len(e.encode([]))\n"
        "assert e.input_size\n"
        "assert 'torch' not in sys.modules"
    )
    root = Path(__file__).parents[2]
    subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=root, env={**os.environ, "PYTHONPATH": "."}
    )


def test_a_model_directory_works_and_its_fingerprint_follows_its_files(tmp_path):
    copy = shutil.copytree(find_packaged_minilm(), tmp_path / "model", copy_function=os.symlink)
    by_path = load_title_encoder(str(copy))
    packaged = load_title_encoder("packaged:minilm")
    assert (by_path.fingerprint, by_path.dim) == (packaged.fingerprint, packaged.dim)
    config = copy / "sentence_bert_config.json"
    text = config.read_text()
    config.unlink()  # a link
    config.write_text(text.replace("256", "128"))
    assert load_title_encoder(str(copy)).fingerprint != packaged.fingerprint


@pytest.mark.parametrize(
    "name",
    ["intfloat/multilingual-e5-base", "intfloat/e5-small-v2", "/models/multilingual-e5-large/"],
)
def test_e5_models_get_the_query_prompt_on_both_sides_and_others_their_own(name, tmp_path):
    assert SentenceEncoder(name).prompts == Prompts("query: ", "query: ")
    own = {"prompts": {"query": "Q: ", "passage": "P: "}}
    (tmp_path / "modules.json").write_text("[]")
    (tmp_path / "config_sentence_transformers.json").write_text(json.dumps(own))
    assert SentenceEncoder(str(tmp_path)).prompts == Prompts("Q: ", "P: ")


OUT_OF_REACH = "intfloat/multilingual-e5-base"


@pytest.mark.parametrize(
    "name", ["packaged:nonsense", "not/a/model", "", "no-such-model\x00", OUT_OF_REACH]
)
def test_a_model_that_is_not_there_names_the_offline_choices(name, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", name == OUT_OF_REACH)
    with pytest.raises(EncoderUnavailable, match="packaged:use-m3"):
        _ = load_title_encoder(name).fingerprint
    with pytest.raises(EncoderUnavailable, match="packaged:denoiser"):
        load_thumbnail_encoder("packaged:nonsense")


COMMIT = "0123456789abcdef0123456789abcdef01234567"
MODELS = ["plain/bert", "sentence/bert"]


class Hub:
    """A model hub on this machine: folders by their names, all at one commit."""

    away = False

    def __init__(self, models):
        self.models = models

    def answer(self, handler):
        path = handler.path.partition("?")[0]
        asked = re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path)
        info = re.fullmatch(r"/api/models/([^/]+/[^/]+)", path)
        status, content = 404, b""
        if self.away:
            status = 503
        elif info:
            status, content = 200, json.dumps({"id": info[1], "sha": COMMIT}).encode()
        elif asked and (file := self.models / asked[1] / asked[2]).is_file():
            status, content = 200, file.read_bytes()
        handler.send_response(status)
        handler.send_header("X-Repo-Commit", COMMIT)
        handler.send_header("Content-Length", str(len(content)))
        handler.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        if status == 404:
            handler.send_header("X-Error-Code", "EntryNotFound")
        handler.end_headers()
        if handler.command == "GET":
            handler.wfile.write(content)


@pytest.fixture(scope="module")
def small_models(tmp_path_factory):
    """One small BERT with random weights, as transformers and sentence-transformers save it."""
    from sentence_transformers import SentenceTransformer

    models = tmp_path_factory.mktemp("models")
    plain, sentence = (models / name for name in MODELS)
    save_small_bert(plain, ["cat", "dog", "cricket", "match"])
    model = SentenceTransformer(str(plain), prompts={"query": "cat ", "document": "dog "})
    model.save(str(sentence))
    return models


@pytest.fixture
def hub(small_models, tmp_path, monkeypatch):
    hub = Hub(small_models)
    with serving(hub.answer) as port:
        url = f"http://127.0.0.1:{port}"
        for name, value in {
            "ENDPOINT": url,
            "HUGGINGFACE_CO_URL_TEMPLATE": url + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_CACHE": str(tmp_path / "hub"),
            "HF_HUB_OFFLINE": False,
        }.items():
            monkeypatch.setattr(f"huggingface_hub.constants.{name}", value)
        # Both were made with the address of the day.
        monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", url)
        monkeypatch.setattr("transformers.utils.hub._hf_api", None, raising=False)
        yield hub


def known_of(name: str) -> tuple[object, ...]:
    model = load_title_encoder(name)
    return model.fingerprint, model.dim, model.prompts, model.encode(["cat match"]).tolist()


@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_the_hub_is_fetched_once_and_then_needs_no_hub(hub, name):
    first = known_of(name)
    hub.away = True
    assert known_of(name) == first


@pytest.mark.parametrize(
    "missing",
    [
        ["config_sentence_transformers.json", "config.json", "model.safetensors", "tokenizer*"],
        ["model.safetensors", "tokenizer*", "1_Pooling/config.json"],
        # Without these alone, transformers loads a tokenizer that knows no words.
        ["tokenizer*"],
    ],
    ids=["all but the first file", "from the weights on", "tokenizer"],
)
def test_a_first_download_that_was_killed_is_completed(hub, small_models, tmp_path, missing):
    name = "sentence/bert"
    known = known_of(name)
    for pattern in missing:
        for file in (tmp_path / "hub/models--sentence--bert/snapshots" / COMMIT).glob(pattern):
            file.resolve().unlink()
            with contextlib.suppress(FileNotFoundError):
                file.unlink()
    hub.away = True
    with pytest.raises(EncoderUnavailable, match="packaged:use-m3"):
        load_title_encoder(name).encode(["cat match"])
    hub.away = False
    assert known_of(name) == known


def test_a_model_directory_goes_by_its_absolute_path(small_models, tmp_path, monkeypatch):
    monkeypatch.chdir(small_models)
    title = load_title_encoder("sentence/bert")
    copied = shutil.copytree(PACKAGED_MODEL, tmp_path / "thumbnails")
    monkeypatch.chdir(copied.parent)
    thumbnail = load_thumbnail_encoder("thumbnails")
    monkeypatch.chdir("/")
    assert Path(title.name) == small_models / "sentence/bert"
    assert load_title_encoder(title.name).fingerprint == title.fingerprint
    assert title.encode(["cat"]).shape == (1, 8)
    assert Path(thumbnail.name) == copied
    assert load_thumbnail_encoder(thumbnail.name).fingerprint == thumbnail.fingerprint


def test_a_directory_that_is_no_model_says_so(tmp_path):
    with pytest.raises(EncoderUnavailable, match="can't be loaded"):
        load_title_encoder(str(tmp_path)).encode(["x"])


def test_a_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for module in ("e5.packed", "use", "sentence", "model_files"):
        monkeypatch.setattr(f"twinlens.encoders.{module}.find_spec", lambda name: None)
    for name in (*OFFLINE_TITLE_MODELS, "intfloat/multilingual-e5-base"):
        with pytest.raises(EncoderUnavailable, match=r"twinlens\[(packaged|hub)\]"):
            load_title_encoder(name)


def test_unit_rows_names_the_rows_it_can_t_scale_and_leaves_its_argument_alone():
    matrix = np.array([[3.0, 4.0], [0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0]])
    before = matrix.copy()
    with pytest.raises(UnencodableItems) as caught:
        unit_rows(matrix)
    assert caught.value.rows == (1, 2, 3)
    np.testing.assert_array_equal(matrix, before)
    np.testing.assert_allclose(unit_rows(matrix[:1]), [[0.6, 0.8]], rtol=1e-6)
