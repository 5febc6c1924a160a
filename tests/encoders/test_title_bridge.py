"""Words, scripts and mixing: what goes through the bridge, and what must come out of it."""

from __future__ import annotations

import time
import unicodedata
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from twinlens.catalog.errors import EncoderUnavailable, UnencodableItems
from twinlens.catalog.vectors import unit_rows
from twinlens.encoders.fingerprints import make_fingerprint
from twinlens.encoders.load import load_title_encoder
from twinlens.encoders.titles import PACKAGED_BRIDGE, BridgedTitleEncoder
from twinlens.encoders.titles.bridge import CharacterBridge
from twinlens.encoders.titles.corpus import Ragged
from twinlens.encoders.titles.encoder import Split, split
from twinlens.encoders.titles.network import BridgeNetwork
from twinlens.encoders.titles.packing import BridgeShape, read_bridge, write_bridge
from twinlens.encoders.titles.text import cut, find_scripts, hash_ngrams, name_script, split_words
from twinlens.encoders.use import UniversalSentenceEncoder

SHAPE = BridgeShape(buckets=500, width=16, hidden=24, dim=32)
BRIDGED = frozenset({"SINHALA", "TAMIL"})


class LetterCounts:
    """A base that counts letters: what is in Latin letters has a direction, nothing else has."""

    name = "letters"
    dim = SHAPE.dim
    fingerprint = make_fingerprint("letters")

    def encode(self, items):
        rows = np.zeros((len(items), self.dim), dtype=np.float32)
        for row, item in zip(rows, items, strict=True):
            for letter in item.lower():
                if "a" <= letter <= "z":
                    row[ord(letter) - ord("a")] += 1
        return unit_rows(rows)

    def encode_queries(self, texts):
        return self.encode([f"q{text}" for text in texts])


def random_network() -> BridgeNetwork:
    torch.manual_seed(0)
    network = BridgeNetwork(SHAPE)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return network


def write(directory: Path, network: BridgeNetwork, **changed: object) -> None:
    known = {
        "weights": {name: value.numpy() for name, value in network.state_dict().items()},
        "shape": asdict(SHAPE),
        "base": "letters",
        "base_fingerprint": LetterCounts.fingerprint,
        "scripts": sorted(BRIDGED),
        "training": {},
        "history": [],
    }
    write_bridge(directory, **(known | changed))


@pytest.fixture(scope="module")
def directory(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("bridge")
    write(path, random_network())
    return path


def opened(directory: Path) -> BridgedTitleEncoder:
    return BridgedTitleEncoder(directory, name="bridged", base=LetterCounts())


@pytest.fixture(scope="module")
def encoder(directory) -> BridgedTitleEncoder:
    return opened(directory)


def test_letters_and_marks_have_a_script():
    assert [name_script(letter) for letter in "ක்é字"] == ["SINHALA", "TAMIL", "LATIN", "CJK"]
    assert [name_script(other) for other in "\u03011!"] == ["", "", ""]


def test_spellings_that_look_alike_are_the_same_words():
    with_joiner, without = "ශ්‍රී ලංකා", "ශ්රී ලංකා"
    assert with_joiner != without
    assert split_words(cut(with_joiner)) == split_words(cut(without))
    assert split_words(cut("கொ")) == split_words(cut(unicodedata.normalize("NFD", "கொ")))
    assert split_words(cut("१२३ Ｃａｔ")) == ["123", "cat"]
    assert split_words(cut("#සිංහල_ගීත‮!")) == ["සිංහල", "ගීත"]


@given(st.text(max_size=80))
def test_words_are_never_empty_or_long(text):
    found = split_words(cut(text))
    assert all(0 < len(word) <= 40 for word in found)
    assert split_words(cut(" ".join(found))) == split_words(" ".join(found))


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=12), st.integers(1, 1000))
def test_ngrams_are_distinct_rows_of_the_table(word, buckets):
    rows = hash_ngrams(word, buckets).tolist()
    assert rows
    assert 0 <= min(rows) <= max(rows) < buckets
    assert len(set(rows)) == len(rows)


def test_names_share_ngrams_across_scripts():
    buckets = 1 << 30
    tamil, sinhala, other = (set(hash_ngrams(word, buckets)) for word in ("கமலா", "කමලා", "පොත"))
    assert len(tamil & sinhala) >= 5
    assert not tamil & other


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Cricket 2024 😂", None),
        ("Привет", None),
        ("", None),
        # A script beyond what is read of a title is none of it.
        ("cricket " * 130 + "ක්‍රිකට්", None),
        ("." * 1000 + " ක්‍රිකට්", None),
        ("සිංහල 2024!", Split(["සිංහල", "2024"], "", 1.0)),
        ("Cricketහි තරගය", Split(["cricketහි", "තරගය"], "", 1.0)),
        ("BTS 5 ගීතය | New Song", Split(["ගීතය"], "BTS 5 | New Song", 0.2)),
    ],
)
def test_a_title_is_parted_by_script(title, expected):
    assert split(title, BRIDGED) == expected


def test_the_base_s_own_scripts_get_exactly_the_base_s_vectors(encoder):
    titles = ["Cricket highlights", "caf\u00e9 \ud83d", "NEWS 24/7"]
    for method in ("encode", "encode_queries"):
        found, own = (getattr(one, method)(titles) for one in (encoder, LetterCounts()))
        np.testing.assert_array_equal(found, own)


def test_a_mixed_title_lies_between_its_halves(encoder):
    sinhala, english, mixed = encoder.encode(["ගීතය අලුත්", "new song", "new ගීතය song අලුත්"])
    np.testing.assert_allclose(mixed, unit_rows(sinhala + english)[0], atol=1e-6)


def test_what_has_no_direction_is_named_by_its_row(encoder):
    with pytest.raises(UnencodableItems) as caught:
        encoder.encode(["ගීතය", "123", "song", "!!!"])
    assert caught.value.rows == (1, 3)


def test_numpy_computes_what_torch_does(directory):
    network = random_network()
    packed = read_bridge(directory)
    # The table as it was rounded, so that only the arithmetic is compared.
    weights = CharacterBridge(packed)._weights
    table = weights["ngrams.weight"] * weights["ngrams.scale"][:, None]
    assert np.abs(table - network.ngrams.weight.detach().numpy()).max() < 0.01
    network.ngrams.weight.data = torch.from_numpy(table)
    titles = [["ගීතය", "අලුත්", "ගීතය"], ["x"]]
    vocabulary = sorted({word for title in titles for word in title})
    lines = Ragged.from_rows([[vocabulary.index(word) for word in title] for title in titles])
    rows = Ragged.from_rows([hash_ngrams(word, SHAPE.buckets) for word in vocabulary])
    arrays = (rows.flat, rows.ends, lines.flat, lines.ends)
    with torch.no_grad():
        expected = network(*map(torch.from_numpy, arrays)).numpy()
    np.testing.assert_allclose(
        unit_rows(CharacterBridge(packed).encode(titles)), expected, atol=1e-5
    )


@given(st.lists(st.lists(st.integers(0, 9), max_size=4), min_size=1, max_size=6), st.data())
def test_ragged_rows_are_taken_and_thinned(rows, data):
    ragged = Ragged.from_rows(rows)
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=6))
    taken = ragged.take(np.array(chosen, dtype=np.int64))
    parts = [taken.flat[a:b].tolist() for a, b in zip(taken.ends, taken.ends[1:], strict=False)]
    assert parts == [rows[row] for row in chosen]
    odd = ragged.keep(ragged.flat % 2 == 1)
    parts = [odd.flat[a:b].tolist() for a, b in zip(odd.ends, odd.ends[1:], strict=False)]
    assert parts == [[value for value in row if value % 2] for row in rows]


HOSTILE = {
    "joiners": "\u200d\u200c",
    "a mark alone": "්",
    "bidirectional": "\u202eගීතය\u2066",
    "NUL": "ගී\x00තය",
    "half a surrogate": "ගීතය \ud83d",
    "letters": "ක" * 100_000,
    "words": "ගීතය song " * 10_000,
    "marks": "ක" + "\u0dca\u0301\u0316" * 33_000,
}


@pytest.fixture(scope="module")
def use():
    return load_title_encoder("packaged:use-m3")


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("name", ["encoder", "use"])
def test_hostile_text_has_a_vector_or_is_refused_in_time(request, name, text):
    model = request.getfixturevalue(name)
    model.encode(["song ගීතය"])  # loads it
    started = time.process_time()
    try:
        vectors = model.encode([text])
    except UnencodableItems:
        assert find_scripts(text).isdisjoint(BRIDGED)
    else:
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert time.process_time() - started < 3


@given(text=st.text(st.characters(exclude_categories=()), max_size=60))
def test_any_text_has_a_unit_vector_or_is_refused(encoder, text):
    try:
        vectors = encoder.encode([text])
    except UnencodableItems:
        return
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_use_reads_halves_of_surrogate_pairs_as_unreadable_characters(use):
    middles = ("😀", "\ud83d\ude00", "\ufffd\ufffd", "\ude00\ud83d")
    whole, halves, marked, broken = use.encode([f"abc {middle} def" for middle in middles])
    np.testing.assert_allclose([whole, marked], [halves, broken], atol=1e-5)


def test_the_fingerprint_covers_base_weights_and_scripts(encoder, tmp_path):
    other = random_network()
    torch.nn.init.ones_(other.direct.bias)
    write(tmp_path / "same", random_network())
    write(tmp_path / "scripts", random_network(), scripts=["SINHALA"])
    write(tmp_path / "weights", other)
    found = {path.name: opened(path).fingerprint for path in tmp_path.iterdir()}
    assert found.pop("same") == encoder.fingerprint
    assert len({encoder.fingerprint, *found.values()}) == 3


def test_what_is_no_whole_bridge_or_one_for_another_base_is_refused(tmp_path):
    def refused(said):
        return pytest.raises(EncoderUnavailable, match=said)

    write(tmp_path, random_network(), base_fingerprint="0" * 16)
    with refused("another version of letters"):
        opened(tmp_path)
    for content in (b"{", b"[]", b'{"format": "other"}'):
        (tmp_path / "config.json").write_bytes(content)
        with refused("no bridge's"):
            opened(tmp_path)
    for file in ("model.safetensors", "config.json"):
        write(tmp_path, random_network())
        (tmp_path / file).unlink()
        with refused(f"{file} is missing"):
            opened(tmp_path)
    write(tmp_path, random_network(), shape=asdict(replace(SHAPE, hidden=9)))
    with refused(r"don't fit its config: hidden\.bias"):
        opened(tmp_path).encode(["ගීතය"])
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with refused("can't be read"):
        opened(tmp_path).encode(["ගීතය"])


@pytest.fixture(scope="module")
def packaged():
    return load_title_encoder("packaged:use-m3-bridge")


@pytest.mark.parametrize(
    ("title", "same", "other"),
    [
        ("පාසල් පොත්", "school books", "white horse"),
        ("සුදු අශ්වයා", "white horse", "school books"),
        ("வெள்ளை குதிரை", "white horse", "school books"),
        ("இந்தியா", "India", "Germany"),
        ("जर्मनी", "Germany", "India"),
        ("ශ්‍රී ලංකාව", "Sri Lanka", "Germany"),
        ("Germany ජර්මනිය", "Germany", "Sri Lanka"),
    ],
)
def test_the_packaged_bridge_finds_the_english(packaged, title, same, other):
    asked, near, far = packaged.encode([title, same, other])
    assert asked @ near > asked @ far + 0.15


def test_the_packaged_bridge_is_small_and_leaves_the_languages_of_use_alone(packaged, use):
    titles = ["how to cook rice", "как готовить рис", "ご飯の炊き方", "วิธีหุงข้าว", "😂 #shorts"]
    np.testing.assert_array_equal(packaged.encode(titles), use.encode(titles))
    assert packaged.scripts.isdisjoint(UniversalSentenceEncoder.scripts)
    assert packaged.fingerprint != use.fingerprint
    assert sum(file.stat().st_size for file in PACKAGED_BRIDGE.iterdir()) < 25_000_000
