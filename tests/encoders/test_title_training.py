"""Training the bridge learns a made-up language, is repeatable, and survives being killed."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tests.fakes import WordEncoder
from twinlens.catalog.errors import EncoderError, SourceError, UsageError
from twinlens.commands.train import train_titles
from twinlens.encoders.load import load_title_encoder
from twinlens.encoders.titles import BridgedTitleEncoder, corpus
from twinlens.encoders.titles.corpus import find_main_script, gather_corpus, is_held_out
from twinlens.encoders.titles.packing import BridgeShape
from twinlens.encoders.titles.pairs import Pair, read_pairs
from twinlens.encoders.titles.training import TrainingOptions, train

SHAPE = BridgeShape(buckets=2000, width=24, hidden=32, dim=48)
OPTIONS = TrainingOptions(
    steps=60, batch_size=64, validate_every=20, warmup_steps=3, learning_rate=1e-2
)
ENGLISH = ["red", "blue", "old", "new", "big", "small", "cat", "dog", "song", "film", "tree", "car"]
SINHALA = ["රතු", "නිල්", "පරණ", "අලුත්", "ලොකු", "පොඩි", "පූසා", "බල්ලා", "ගීතය", "චිත්‍රපටය", "ගස", "රථය"]
KNOWN = frozenset({"LATIN"})


BASE = WordEncoder(dim=SHAPE.dim)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Fewer lines of a script than a real one needs."""
    monkeypatch.setattr(corpus, "MIN_LINES", 50)


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    words = list(zip(SINHALA, ENGLISH, strict=True))
    return [
        Pair(" ".join(word for word, _ in chosen), " ".join(word for _, word in chosen), "si")
        for chosen in itertools.permutations(words, 3)
    ][::3]


@pytest.fixture
def lines(pairs):
    return gather_corpus(pairs, known_scripts=KNOWN, buckets=SHAPE.buckets, encode=BASE.encode)


def run(lines, out: Path, *, base=BASE, on_step=None, **changed):
    options = replace(OPTIONS, **changed)
    return train(lines, base=base, out=out, options=options, shape=SHAPE, on_step=on_step)


def test_training_brings_a_title_to_its_english(lines, tmp_path):
    result = run(lines, tmp_path)
    assert result.best.mrr > 3 * result.base_mrr["SINHALA"]
    assert result.best.recall_at_10 > 0.9
    assert result.best.mrr == max(measured.mrr for measured in result.history)
    assert result.scripts == ("SINHALA",)
    assert not (tmp_path / "checkpoint.safetensors").exists()

    encoder = BridgedTitleEncoder(tmp_path, name="trained", base=BASE)
    asked, right, wrong = encoder.encode(["ගීතය අලුත්", "new song", "old dog"])
    assert asked @ right > asked @ wrong + 0.3
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["training"]["options"]["seed"] == 0
    assert config["scripts"] == ["SINHALA"]


def test_a_killed_run_continues_to_the_same_weights_and_another_seed_has_others(lines, tmp_path):
    class Killed(Exception):
        pass

    def kill(step, measured):
        if step == 15:
            raise Killed

    short = {"steps": 20, "validate_every": 10}
    out, steps = tmp_path / "killed", []
    whole = run(lines, tmp_path / "whole", **short)
    assert run(lines, tmp_path / "again", **short) == whole
    assert run(lines, tmp_path / "other", **short, seed=1) != whole
    with pytest.raises(Killed):
        run(lines, out, **short, on_step=kill)
    with pytest.raises(UsageError, match="other pairs or options"):
        run(lines, out, **short, seed=9)
    assert run(lines, out, **short, on_step=lambda step, _: steps.append(step)) == whole
    assert steps[0] == 11
    weights = {path.parent.name: path.read_bytes() for path in tmp_path.glob("*/model.safetensors")}
    assert weights["whole"] == weights["again"] == weights["killed"] != weights["other"]


def test_training_stops_when_it_gets_no_better(lines, tmp_path):
    steps = []
    still = {"learning_rate": 0.0, "patience": 1}
    with pytest.raises(EncoderError, match="no better than the base"):
        run(lines, tmp_path, **still, on_step=lambda step, _: steps.append(step))
    assert steps[-1] == 40


def test_a_bridge_that_is_no_better_than_the_base_is_not_written(lines, tmp_path):
    class Knowing(WordEncoder):
        def encode(self, items):
            english = dict(zip(SINHALA, ENGLISH, strict=True))
            return super().encode(
                [" ".join(english.get(word, word) for word in item.split()) for item in items]
            )

    with pytest.raises(EncoderError, match="no better than the base"):
        run(lines, tmp_path, base=Knowing(dim=SHAPE.dim), steps=1, validate_every=1)
    assert not (tmp_path / "model.safetensors").exists()


def test_a_corpus_leaves_out_what_the_base_knows_and_scripts_with_few_lines(pairs):
    more = [Pair("chat noir", "black cat", "fr"), Pair("பூனை", "cat", "ta"), pairs[0]]
    made = gather_corpus([*pairs, *more], known_scripts=KNOWN, buckets=50, encode=BASE.encode)
    assert made.scripts == ["SINHALA"]
    assert made.left_out == 2
    assert made.sources == [pair.source for pair in pairs]
    for line in (0, 17):
        expected = BASE.encode([pairs[line].english])[0]
        np.testing.assert_allclose(made.targets[made.english[line]], expected, atol=1e-6)
        assert bool(made.held_out[line]) == is_held_out(pairs[line].english.upper())
    assert 0.01 < made.held_out.mean() < 0.12


def test_a_line_is_of_the_script_of_most_of_its_foreign_letters():
    assert find_main_script("Chrome හි සැකසීම්", KNOWN) == "SINHALA"
    assert find_main_script("Chrome", KNOWN) == ""


def test_pairs_are_read_from_both_formats(tmp_path):
    tsv, jsonl = tmp_path / "a.tsv", tmp_path / "b.jsonl"
    tsv.write_text("ගස\ttree\n\nரதம்\tcar\tta\r\n", encoding="utf-8")
    jsonl.write_text('{"source": "ගස ", "english": "tree"}\n', encoding="utf-8")
    assert list(read_pairs(tsv)) == [Pair("ගස", "tree", ""), Pair("ரதம்", "car", "ta")]
    assert list(read_pairs(jsonl)) == [Pair("ගස", "tree", "")]


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("a.tsv", b"one", "1 column"),
        ("a.tsv", b"a\tb\tc\td", "4 column"),
        ("a.tsv", b"\xff\ttree", "no UTF-8"),
        ("a.tsv", b" \ttree", "source is empty"),
        ("a.jsonl", b"{", "no JSON"),
        ("a.jsonl", b"[1]", "no JSON object"),
        ("a.jsonl", b'{"source": "x"}', "english is missing"),
        ("a.jsonl", b'{"source": 1, "english": "x"}', "source is no text"),
        ("a.jsonl", b'{"source": "\\ud800", "english": "x"}', "half a surrogate pair"),
    ],
)
def test_a_bad_line_is_named(tmp_path, name, line, message):
    path = tmp_path / name
    good = b'{"source": "x", "english": "y"}' if path.suffix == ".jsonl" else b"x\ty"
    path.write_bytes(good + b"\n" + line + b"\n")
    with pytest.raises(SourceError, match=f"{name}, line 2: {message}"):
        list(read_pairs(path))
    with pytest.raises(SourceError, match=r"none\.tsv can't be read"):
        list(read_pairs(tmp_path / "none.tsv"))


@pytest.mark.slow
def test_the_command_trains_what_the_index_loads(pairs, tmp_path, monkeypatch):
    small = partial(BridgeShape, buckets=2000, width=16, hidden=16)
    monkeypatch.setattr("twinlens.encoders.titles.packing.BridgeShape", small)
    data, out = tmp_path / "pairs.tsv", tmp_path / "bridge"
    lines = (f"{pair.source}\t{pair.english}\n" for pair in pairs[:300])
    data.write_text("".join(lines), encoding="utf-8")
    arguments = [str(data), "--out", str(out), "--steps", "12", "--batch-size", "64"]
    ran = CliRunner().invoke(train_titles, arguments, catch_exceptions=False)
    assert ran.exit_code == 0, ran.output
    assert ran.stdout.startswith(f"{out}: ")
    assert "scripts SINHALA" in ran.stdout
    assert len(ran.stdout.splitlines()) == 1
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")
    encoder = load_title_encoder(str(out))
    assert encoder.name == str(out)
    assert encoder.encode(["රතු ගස", "red tree"]).shape == (2, 512)


def test_too_few_pairs_are_refused(tmp_path):
    few = gather_corpus([], known_scripts=KNOWN, buckets=50, encode=BASE.encode)
    with pytest.raises(UsageError, match="0 usable pairs"):
        run(few, tmp_path)
