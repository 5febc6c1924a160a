"""Bytes that changed since they were published: found by whatever opens or copies them."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.folders import files_in
from tests.indexer.conftest import CountingThumbnails, CountingTitles
from twinlens.catalog.errors import StoreCorrupt, StoreError
from twinlens.commands.generations import generations
from twinlens.commands.index import verify
from twinlens.encoders.lenses import WORDS, WordsLens, make_own_lenses
from twinlens.indexer.build import begin_build
from twinlens.indexer.rebuild import repair, take_down
from twinlens.search.published import PublishedIndex
from twinlens.stores.checksums import CHECKSUMS_FILE, find_changed, require_unchanged
from twinlens.stores.engines import open_for_search
from twinlens.stores.generations import SUGGESTIONS_FILE

# The files of a server are its own.
pytestmark = pytest.mark.parametrize("engine", ["embedded"], indirect=True)

FLIPPED = "has changed since it was published, between bytes 0 and"
MIRROR, QDRANT = "the FAISS mirror", "Qdrant"
KINDS = {
    "title vectors of the mirror": ("faiss/title.faiss", " (of the lens title)", QDRANT),
    "videos of the mirror": ("faiss/ids.sqlite", "", QDRANT),
    "title vectors": (
        "qdrant/segments/*/vector_storage-title/vectors/chunk_0.mmap",
        " (of the lens title)",
        MIRROR,
    ),
    "words": (
        "qdrant/segments/*/vector_storage-words/store/page_0.dat",
        " (of the lens words)",
        MIRROR,
    ),
    "rarity of words": ("frequencies/words.npy", " (of the lens words)", QDRANT),
    "payload": ("qdrant/segments/*/payload_storage/page_0.dat", "", MIRROR),
    "suggestions": (SUGGESTIONS_FILE, "", QDRANT),
}


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[min(100, len(content) - 1)] ^= 1
    file.write_bytes(content)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


WAYS = {flip: FLIPPED, cut: "bytes, and had", Path.unlink: "is gone"}


@contextmanager
def damaged(file: Path, way) -> Iterator[None]:
    before = file.read_bytes()
    way(file)
    yield
    file.write_bytes(before)


def say(command, data) -> str:
    told = CliRunner().invoke(command, ["--data-dir", str(data.path)])
    assert told.exit_code == (command is verify), told.output
    return told.output


def open_to_serve(data) -> None:
    published = PublishedIndex(
        data,
        open_reader=partial(open_for_search, data),
        open_lenses=lambda *_: make_own_lenses(CountingTitles(), CountingThumbnails()),
    )
    with published.borrow():
        pass
    published.close()


@pytest.mark.parametrize(
    ("pattern", "lens", "whole"),
    [
        pytest.param(*kind, id=name, marks=[] if name == "title vectors" else pytest.mark.slow)
        for name, kind in KINDS.items()
    ],
)
def test_it_is_found_named_and_mended(
    run_job, catalogue, data, engine, published, pattern, lens, whole
):
    first = run_job()
    [file] = data.locate_generation(first.generation).glob(pattern)
    for way, how in WAYS.items():
        with damaged(file, way):
            for titles in (10, 11):
                catalogue.add_titles(range(titles))
                with pytest.raises(StoreCorrupt, match=r"`twinlens repair`.*--fresh") as said:
                    run_job()
                assert f"{file}{lens} " in str(said.value)
                assert how in str(said.value)
                catalogue.rows.pop("video10", None)
            with pytest.raises(StoreCorrupt, match="twinlens repair"):
                take_down(data, engine, ["video1"])
            for command in (verify, generations):
                assert f"{file}{lens} " in say(command, data)
            # Without the mirror, or suggestions, searches go on.
            if not pattern.startswith(("faiss/", "suggestions")):
                with pytest.raises(StoreCorrupt, match=r"`twinlens repair`") as said:
                    open_to_serve(data)
                assert f"{file}{lens} " in str(said.value)
            else:
                open_to_serve(data)
            assert data.list_generations() == [data.read_current()] == [first.generation]

            made, of = repair(data, engine, {WORDS: WordsLens()})
            assert (made.counts["videos"], of) == (10, whole)
            assert published.differences() == []
            assert find_changed(data, made) == {}
            data.switch_to(first.generation)
            data.remove(made.generation)


def test_what_changed_nothing_is_whole_and_what_came_with_no_checksums_is_opened(
    run_job, data, engine, published
):
    first = run_job()
    open_to_serve(data)
    published.differences()
    manifest = data.read_manifest(first.generation)
    assert find_changed(data, manifest) == {}
    folder = data.locate_generation(first.generation)
    named = json.loads((folder / CHECKSUMS_FILE).read_text(encoding="utf-8"))["files"]
    left = {"manifest.json", CHECKSUMS_FILE}
    assert named.keys() == files_in(folder).keys() - left
    assert repair(data, engine, {WORDS: WordsLens()}) == (manifest, None)
    values = manifest.to_json()
    del values["checksums"]
    (folder / "manifest.json").write_text(json.dumps(values), encoding="utf-8")
    (folder / CHECKSUMS_FILE).unlink()
    assert run_job().published is False


def test_checksums_that_are_lost_changed_or_newer_are_no_reason_to_trust_the_files(
    run_job, data, engine, published
):
    first = run_job()
    folder = data.locate_generation(first.generation)
    for way in (flip, Path.unlink):
        way(folder / CHECKSUMS_FILE)
        with pytest.raises(StoreCorrupt, match=CHECKSUMS_FILE):
            run_job()
        # Its halves hold the same, in full.
        made, of = repair(data, engine, {WORDS: WordsLens()})
        assert of == QDRANT
        folder = data.locate_generation(made.generation)
    assert published.differences() == []
    assert run_job().published is False


def test_two_halves_with_damage_are_judged_by_what_they_hold(run_job, data, engine, published):
    first = run_job()
    folder = data.locate_generation(first.generation)
    [index] = folder.glob("qdrant/segments/*/payload_index/config.json")
    index.write_text(index.read_text() + " ")
    with (folder / "faiss" / "ids.sqlite").open("r+b") as file:
        file.seek(98)  # the version of SQLite that wrote it
        file.write(b"\0")
    with pytest.raises(StoreCorrupt, match=r"config.json|ids.sqlite"):
        run_job()
    assert repair(data, engine, {WORDS: WordsLens()})[1] == QDRANT
    assert published.differences() == []


def test_the_only_half_that_can_be_read_is_not_taken_unasked_if_it_is_damaged(
    run_job, data, engine, published
):
    first = run_job()
    folder = data.locate_generation(first.generation)
    flip(folder / "faiss" / "title.faiss")
    for file in folder.glob("qdrant/closed"):
        file.unlink()
    with pytest.raises(StoreCorrupt, match=r"can't be repaired.*title.faiss"):
        repair(data, engine, {WORDS: WordsLens()})
    assert repair(data, engine, {WORDS: WordsLens()}, half=MIRROR)[1] == MIRROR
    assert published.differences() == []


def test_a_ledger_that_changed_is_not_gone_by(run_job, data, engine):
    first = run_job()
    ledger = data.locate_generation(first.generation) / "ledger.sqlite"
    content = ledger.read_bytes()
    ledger.write_bytes(content.replace(b"video3", b"video4", 1))
    with pytest.raises(StoreCorrupt, match=r"ledger.sqlite has changed"):
        run_job()
    with pytest.raises(StoreCorrupt, match=r"ledger.sqlite has changed.*--fresh"):
        repair(data, engine, {WORDS: WordsLens()})
    assert run_job(fresh=True).videos == 10


def test_a_copy_that_is_not_what_was_published_is_not_built_upon(
    run_job, catalogue, data, engine, monkeypatch
):
    """Damage that comes between opening and copying, or by the copying."""
    first = run_job()
    file = data.locate_mirror(first.generation) / "thumbnail.faiss"

    def begin(*args, **options):
        flip(file)
        return begin_build(*args, **options)

    monkeypatch.setattr("twinlens.indexer.build.begin_build", begin)
    catalogue.add("another")
    with pytest.raises(StoreCorrupt, match=r"thumbnail.faiss \(of the lens thumbnail\) has"):
        run_job()
    flip(file)
    monkeypatch.undo()
    assert run_job().videos == 11


def test_holes_count_as_zeros(tmp_path, run_job, data):
    first = run_job()
    folder = data.locate_generation(first.generation)
    manifest = data.read_manifest(first.generation)
    for file in folder.glob("qdrant/segments/*/vector_storage-*/**/*"):
        if file.is_file():
            file.write_bytes(file.read_bytes())  # a copy by a tool that knows no holes
    require_unchanged(data, manifest)


@pytest.fixture
def read_only(data, tmp_path):
    """The data directory where nothing can be written."""
    seen = tmp_path / "seen"
    seen.mkdir()

    def mount() -> type(data):
        options = ["--bind", data.path, seen]
        try:
            subprocess.run(["mount", *options], check=True, capture_output=True)
            again = ["mount", "-o", "remount,ro,bind", seen]
            subprocess.run(again, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("nothing can be mounted here")
        return type(data)(seen)

    yield mount
    subprocess.run(["umount", "--lazy", seen], check=False, capture_output=True)


def test_a_copy_that_can_only_be_read_is_verified_and_served(run_job, data, read_only):
    run_job()
    seen = read_only()
    told = CliRunner().invoke(verify, ["--data-dir", str(seen.path)])
    assert told.exit_code == 0, told.output
    assert "10 title vectors" in told.output
    open_to_serve(seen)
    [file] = data.generations.glob("*/qdrant/segments/*/vector_storage-title/vectors/chunk_0.mmap")
    flip(file)
    expected = say(verify, data).replace(str(data.path), str(seen.path))
    # What it warns of beside is the copy.
    told = [line for line in say(verify, seen).splitlines() if "opens a copy" not in line]
    assert told == expected.splitlines()
    with pytest.raises(StoreError, match="of the lens title"):
        open_to_serve(seen)
