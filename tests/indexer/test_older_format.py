"""Data directories as earlier releases left them, read as they are.

Each ``data-of-format-*.tar.xz`` has one of sixteen drawn videos, its source, and what the server of
then answered over it: the first that of the release before lenses; ``-sounds`` that of the last
commit whose Qdrant weighed words by itself. ``keep_release.py`` makes them.
"""

import json
import sqlite3
import tarfile
from contextlib import closing

import pytest
from click.testing import CliRunner

from tests.fakes import WordEncoder
from tests.indexer.conftest import index
from tests.indexer.keep_release import ARCHIVES, answer, lenses_of
from twinlens.catalog.errors import StoreError
from twinlens.commands.index import verify
from twinlens.encoders.lenses import TitleLens, WordsLens
from twinlens.indexer.build import LEDGER_FILE
from twinlens.indexer.ledger import LEDGER_FORMAT, Ledger
from twinlens.search.suggestions import open_suggestions
from twinlens.stores.engines import EmbeddedEngine
from twinlens.stores.flat import MIRROR_FORMAT, FlatReader
from twinlens.stores.generations import MANIFEST_FORMAT, DataDir

PASSING = {"took_ms", "timings_ms", "query_id"}


@pytest.fixture(params=ARCHIVES, ids=lambda archive: archive.name)
def old(request, shard_path):
    with tarfile.open(request.param) as archive:
        archive.extractall(shard_path, filter="data")
    return shard_path


@pytest.fixture
def data(old):
    return DataDir(old / "data")


def same(found, answered):
    """Whether two JSON values agree, of which ``answered`` is on another machine's rounding.

    A later version may say more.
    """
    if isinstance(answered, dict):
        names = answered.keys() - PASSING
        return names <= found.keys() and all(same(found[name], answered[name]) for name in names)
    if isinstance(answered, list):
        return len(found) == len(answered) and all(map(same, found, answered))
    if isinstance(answered, float):
        return found == pytest.approx(answered, abs=1e-4)
    return found == answered


def test_it_is_served_and_answers_as_before(old, data):
    asked = json.loads((old / "answers.json").read_text(encoding="utf-8"))
    assert len(asked) >= 10
    for one, again in zip(asked, answer(data, asked), strict=True):
        assert again["status"] == one["status"], one["path"]
        found = again["answer"]
        if "next_cursor" in found:
            assert (found["next_cursor"] is None) == (one["answer"]["next_cursor"] is None)
            found["next_cursor"] = one["answer"]["next_cursor"]
        assert same(found, one["answer"]), one["path"]


def test_verify_agrees(data):
    outcome = CliRunner().invoke(verify, ["--data-dir", str(data.path)])
    assert outcome.exit_code == 0, outcome.output
    assert "agree: 16 videos, " in outcome.output
    for name in ("title", "thumbnail", "words"):
        assert f", 15 {name} vectors" in outcome.output


class CountedWords(WordsLens):
    def __init__(self):
        self.encoded = []

    def encode(self, items):
        self.encoded += [item.title for item in items]
        return super().encode(items)


def index_again(data, source):
    """The summary of a job, and the titles whose words it encoded."""
    record, words = data.read_published().lenses["title"], CountedWords()
    # What made the index takes seconds to load.
    titles = WordEncoder(dim=record.dim, fingerprint=record.fingerprint)
    titles.name = record.model
    lenses = {**lenses_of(data), "title": TitleLens(titles), "words": words}
    summary = index(str(source), data, EmbeddedEngine(data), lenses)
    return summary, [summary.titles_encoded, summary.thumbnails_encoded, words.encoded]


def count_renewed(data):
    """How many videos' words a job encodes, whatever the source says: their rule is another now."""
    manifest = data.read_published()
    same = manifest.lenses["words"].fingerprint == WordsLens.fingerprint
    return 0 if same else manifest.counts["words"]


def test_the_same_source_adds_suggestions_and_words_of_a_newer_rule(old, data):
    assert open_suggestions(data, data.read_published()) is None
    renewed = count_renewed(data)
    summary, [titles, thumbnails, words] = index_again(data, old / "source")
    # With nothing encoded, suggestions are published, new fields, and our own frequencies.
    assert (summary.unchanged, summary.published) == (16, True)
    assert (titles, thumbnails, len(words)) == (0, 0, renewed)
    suggestions = open_suggestions(data, data.read_published())
    assert suggestions is not None
    assert suggestions.suggest("a", limit=1).suggestions
    again, _ = index_again(data, old / "source")
    assert again.published is False


def test_what_changed_is_encoded_and_nothing_else(old, data):
    file = old / "source" / "metadata.jsonl"
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    retitled = next(row for row in rows if row.get("title"))
    retitled["title"] = "Another title"
    recounted = rows[-1]
    recounted["view_count"] = 12
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    renewed = count_renewed(data)
    summary, [titles, thumbnails, words] = index_again(data, old / "source")
    assert (summary.changed, summary.unchanged, summary.published) == (2, 14, True)
    assert (titles, thumbnails, words[renewed:]) == (1, 0, ["Another title"])
    manifest = data.read_published()
    written = data.locate_generation(manifest.generation) / "manifest.json"
    assert json.loads(written.read_text(encoding="utf-8"))["format"] == MANIFEST_FORMAT
    assert manifest.counts == {"videos": 16, "title": 15, "thumbnail": 15, "words": 15}
    assert CliRunner().invoke(verify, ["--data-dir", str(data.path)]).exit_code == 0

    summary, encoded = index_again(data, old / "source")
    assert (summary.unchanged, encoded) == (16, [0, 0, []])


def test_a_newer_manifest_ledger_or_mirror_is_refused_with_a_sentence(data):
    newer = pytest.raises(StoreError, match=r"has format \d, and this TwinLens reads up to \d; use")
    folder = data.locate_generation(data.read_current())
    with closing(sqlite3.connect(folder / LEDGER_FILE)) as database:
        database.execute(f"PRAGMA user_version = {LEDGER_FORMAT + 1}")
    for read_only in (True, False):
        with newer:
            Ledger(folder / LEDGER_FILE, read_only=read_only)
    with closing(sqlite3.connect(folder / "faiss" / "ids.sqlite")) as database:
        database.execute(f"PRAGMA user_version = {MIRROR_FORMAT + 1}")
    with pytest.raises(StoreError, match=r"mirror .* has format 2, and this TwinLens reads up to"):
        FlatReader.open(folder / "faiss")
    path = folder / "manifest.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(values | {"format": MANIFEST_FORMAT + 1}), encoding="utf-8")
    with newer:
        data.read_published()


def test_a_ledger_opened_to_be_written_has_what_it_had(data):
    path = data.locate_generation(data.read_current()) / LEDGER_FILE
    with closing(Ledger(path, read_only=True)) as ledger:
        ids = [video_id for ids in ledger.video_ids() for video_id in ids]
        entries = ledger.lookup(ids)
    assert len(entries) == 16
    for _ in range(2):
        with closing(Ledger(path)) as ledger:
            assert ledger.lookup(ids) == entries
