"""CLIP by a tiny model with random weights: its vectors mean nothing, its path is the real one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.fakes import MemoryReader, WordEncoder
from twinlens.catalog.errors import EncoderUnavailable
from twinlens.encoders.base import TextThumbnailEncoder
from twinlens.encoders.clip import ClipEncoder
from twinlens.encoders.lenses import THUMBNAIL, TITLE, make_own_lenses
from twinlens.encoders.load import load_thumbnail_encoder
from twinlens.encoders.sentence import find_packaged_minilm
from twinlens.encoders.thumbnails import DenoisingAutoencoder
from twinlens.search.request import SearchRequest
from twinlens.search.searcher import Searcher
from twinlens.stores.base import StoredVideo

SIDE, DIM, TOKENS = 32, 24, 16
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:transformers")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory as the hub has it for ``clip-ViT-B-32``, with a network of two layers."""
    import torch
    from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

    path = tmp_path_factory.mktemp("tiny-clip")
    inner = path / "0_CLIPModel"
    inner.mkdir()
    letters = "abcdefghijklmnopqrstuvwxyz"
    tokens = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{one}</w>" for one in letters)]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=TOKENS).save_pretrained(inner)
    layers = {"hidden_size": 32, "intermediate_size": 64}
    layers |= {"num_hidden_layers": 2, "num_attention_heads": 2}
    text = {"vocab_size": len(vocabulary), "max_position_embeddings": TOKENS, "eos_token_id": 1}
    vision = {"image_size": SIDE, "patch_size": 8}
    torch.manual_seed(0)
    shape = {"text_config": layers | text, "vision_config": layers | vision}
    CLIPModel(CLIPConfig(**shape, projection_dim=DIM)).save_pretrained(inner)
    processor = {
        "image_processor_type": "CLIPImageProcessor",
        "size": {"shortest_edge": SIDE},
        "crop_size": {"height": SIDE, "width": SIDE},
        "image_mean": [0.48, 0.46, 0.41],
        "image_std": [0.27, 0.26, 0.28],
    }
    (inner / "preprocessor_config.json").write_text(json.dumps(processor))
    module = {"idx": 0, "name": "0", "path": inner.name}
    module["type"] = "sentence_transformers.models.CLIPModel"
    (path / "modules.json").write_text(json.dumps([module]))
    return path


@pytest.fixture(scope="module")
def clip(model: Path) -> ClipEncoder:
    encoder = load_thumbnail_encoder(str(model))
    assert isinstance(encoder, ClipEncoder)
    return encoder


def picture(colour: str, size: tuple[int, int] = (64, 36)) -> Image.Image:
    drawn = Image.new("RGB", size, colour)
    drawn.paste(Image.new("RGB", (size[0] // 3, size[1] // 2), "white"))
    return drawn


def test_pictures_and_words_become_unit_vectors_of_one_length(clip: ClipEncoder) -> None:
    pictures = clip.encode([picture("red"), picture("blue", (30, 90)), picture("green")])
    hostile = ["", "x" * 100_000, "😂🔥", "a\x00b\u202ec", "\ud83d", "\ude00 a"]
    texts = clip.encode_queries(["a red thing", "ශ්‍රී ලංකා", "?!", "x" * 5000, *hostile])
    assert clip.dim == DIM
    for rows, count in ((pictures, 3), (texts, 10), (clip.encode([]), 0)):
        assert rows.shape == (count, DIM)
        assert rows.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-5)


def test_a_picture_has_one_vector_whatever_it_comes_with(clip: ClipEncoder) -> None:
    [alone] = clip.encode([picture("red")])
    blue, red = clip.encode([picture("blue"), picture("red")])
    np.testing.assert_allclose(red, alone, atol=1e-5)
    assert not np.allclose(blue, alone, atol=1e-3)


def test_black_bars_make_no_difference(clip: ClipEncoder) -> None:
    whole = picture("red", (480, 270))
    barred = Image.new("RGB", (480, 360))
    barred.paste(whole, (0, 45))
    np.testing.assert_allclose(clip.encode([barred]), clip.encode([whole]), atol=0.02)


def test_a_name_is_a_packaged_one_a_directory_or_one_of_the_hub(model: Path) -> None:
    assert isinstance(load_thumbnail_encoder("packaged:denoiser"), DenoisingAutoencoder)
    assert isinstance(load_thumbnail_encoder("clip-ViT-B-32"), ClipEncoder)
    assert isinstance(load_thumbnail_encoder("sentence-transformers/clip-ViT-L-14"), ClipEncoder)
    assert load_thumbnail_encoder(str(model)).name == str(model)
    for path in ("./nowhere", "/nowhere/at/all", "a/b/c"):
        with pytest.raises(EncoderUnavailable, match="config"):
            load_thumbnail_encoder(path)


def test_the_fingerprint_follows_the_weights(model: Path, clip: ClipEncoder) -> None:
    assert load_thumbnail_encoder(str(model)).fingerprint == clip.fingerprint
    config = model / "0_CLIPModel" / "config.json"
    text = config.read_text()
    try:
        config.write_text(text + "\n")
        assert load_thumbnail_encoder(str(model)).fingerprint != clip.fingerprint
    finally:
        config.write_text(text)


def test_a_model_without_a_picture_side_or_out_of_reach_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for name, said in (
        (str(find_packaged_minilm()), "no CLIP model"),
        ("nobody/no-such-clip", "--thumbnail-model packaged:denoiser"),
    ):
        with pytest.raises(EncoderUnavailable, match=said):
            load_thumbnail_encoder(name).encode([picture("red")])


def test_words_are_asked_of_the_thumbnails_directly(clip: ClipEncoder) -> None:
    assert isinstance(clip, TextThumbnailEncoder)
    titles = WordEncoder()
    colours = ("red", "green", "blue")
    videos = [
        StoredVideo(
            colour,
            {"video_id": colour, "title": colour},
            {TITLE: titles.encode([colour])[0], THUMBNAIL: clip.encode([picture(colour)])[0]},
        )
        for colour in colours
    ]
    reader = MemoryReader(videos)
    searcher = Searcher(reader, generation="g", lenses=make_own_lenses(titles, clip))
    result = searcher.search(SearchRequest(text="red"))
    [queries] = reader.searches
    asked = {query.lens: query.vector for query in queries}
    np.testing.assert_allclose(asked[THUMBNAIL], clip.encode_queries(["red"])[0], atol=1e-6)
    assert not result.borrowed_from
    assert all(THUMBNAIL in hit.sources for hit in result.hits)
