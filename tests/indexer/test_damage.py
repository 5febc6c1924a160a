"""Whatever is damaged: a job says so, --fresh gets over it, and nothing that was there is lost."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.folders import files_in
from tests.indexer.conftest import CountingTitles, jpeg
from twinlens.catalog.errors import NoGeneration, StoreCorrupt, StoreError, TooMuchLost, UsageError
from twinlens.encoders.lenses import TITLE, WORDS, WordsLens
from twinlens.indexer.build import BUILD_FORMAT
from twinlens.indexer.rebuild import repair
from twinlens.stores.checksums import CHECKSUMS_FILE
from twinlens.stores.edge import EdgeStore
from twinlens.stores.generations import MANIFEST_FORMAT

# What is damaged here are the files of a generation, and its collection is none of them.
pytestmark = pytest.mark.parametrize("engine", ["embedded"], indirect=True)
Damage = Callable[[Path], None]


def cut(pattern: str, *, to: float = 0.5) -> Damage:
    def damage(folder: Path) -> None:
        [*_, file] = sorted(folder.glob(pattern), key=lambda found: found.stat().st_size)
        content = file.read_bytes()
        file.write_bytes(content[: int(len(content) * to)])

    return damage


def flip(pattern: str, *, at: float) -> Damage:
    """Changes a vector, or what comes after the last, by the share of the file before it."""

    def damage(folder: Path) -> None:
        [*_, file] = sorted(folder.glob(pattern))
        content = bytearray(file.read_bytes())
        start = int(at * len(content))
        content[start : start + 64] = bytes(byte ^ 0xFF for byte in content[start : start + 64])
        file.write_bytes(content)

    return damage


def remove(pattern: str) -> Damage:
    def damage(folder: Path) -> None:
        for found in list(folder.glob(pattern)):
            shutil.rmtree(found) if found.is_dir() else found.unlink()

    return damage


def be_newer(folder: Path) -> None:
    file = folder / "manifest.json"
    values = json.loads(file.read_text()) | {"format": MANIFEST_FORMAT + 1}
    file.write_text(json.dumps(values))


def lose_checksums(folder: Path) -> None:
    """As it was before there were any."""
    file = folder / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"checksums": None}))
    (folder / CHECKSUMS_FILE).unlink()


def name(text: str) -> Damage:
    return lambda folder: (folder.parents[1] / "CURRENT").write_text(text) and None


DAMAGES = {
    "CURRENT lost": remove("../../CURRENT"),
    "CURRENT empty": name(""),
    "CURRENT names another": name("20200101T000000.000Z-abcdef"),
    "manifest cut": cut("manifest.json"),
    "manifest newer": be_newer,
    "manifest lost": remove("manifest.json"),
    "ledger cut": cut("ledger.sqlite"),
    "mirror cut": cut("faiss/*.faiss"),
    "mirror lost": remove("faiss"),
    "videos of the mirror cut": cut("faiss/*.sqlite"),
    "shard lost": remove("qdrant"),
    "segments lost": remove("qdrant/segments/*"),
    "shard not closed": remove("qdrant/closed"),
}


QUICK = {"CURRENT lost", "manifest cut", "mirror cut", "shard lost"}


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(damage, id=name, marks=() if name in QUICK else pytest.mark.slow)
        for name, damage in DAMAGES.items()
    ],
)
def test_a_job_says_so_and_fresh_gets_over_it(run_job, data, published, damage):
    first = run_job()
    damage(data.locate_generation(first.generation))
    kept = files_in(data.generations)
    with pytest.raises(StoreError, match="fresh") as said:
        run_job()
    assert isinstance(said.value, NoGeneration | StoreCorrupt)
    assert files_in(data.generations) == kept
    fresh = run_job(fresh=True)
    assert fresh.videos == 10
    assert kept.items() <= files_in(data.generations).items()
    assert published.differences() == []
    assert run_job().published is False


def test_an_unfinished_build_whose_plan_can_t_be_read_is_left_alone(run_job, break_off, data):
    break_off()
    [build] = data.list_generations()
    (data.locate_generation(build) / "build.json").write_bytes(b"")
    kept = files_in(data.generations)
    done = run_job()
    assert (done.continued, done.videos) == (False, 200)
    assert kept.items() <= files_in(data.generations).items()


def test_a_newer_build_is_left_alone(run_job, break_off, data):
    break_off()
    [build] = data.list_generations()
    file = data.locate_generation(build) / "build.json"
    values = json.loads(file.read_text())
    file.write_text(json.dumps(values | {"build_format": BUILD_FORMAT + 1}))
    kept = files_in(data.generations)
    done = run_job()
    assert (done.continued, done.videos) == (False, 200)
    assert kept.items() <= files_in(data.generations).items()


def test_what_is_unknown_in_a_build_of_this_format_is_no_hindrance(run_job, break_off, data):
    break_off()
    [build] = data.list_generations()
    file = data.locate_generation(build) / "build.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"unknown": 1}))
    assert run_job().continued


HALVES = {
    "mirror cut": (cut("faiss/*.faiss"), "Qdrant"),
    "mirror lost": (remove("faiss"), "Qdrant"),
    "segments lost": (remove("qdrant/segments/*"), "the FAISS mirror"),
    "shard lost": (remove("qdrant"), "the FAISS mirror"),
}


@pytest.mark.parametrize(("damage", "half"), HALVES.values(), ids=HALVES.keys())
def test_the_half_that_is_whole_makes_a_whole_index(run_job, data, engine, published, damage, half):
    first = run_job()
    damage(data.locate_generation(first.generation))
    kept = files_in(data.generations)
    made, of = repair(data, engine, {WORDS: WordsLens()})
    assert (made.counts, of) == (data.read_manifest(first.generation).counts, half)
    assert kept.items() <= files_in(data.generations).items()
    assert published.differences() == []
    titles = CountingTitles()
    again = run_job(titles)
    assert (again.published, again.unchanged, titles.encoded) == (False, 10, [])


@pytest.mark.parametrize("at", [0.5, 0.9], ids=["vectors", "ids"])
def test_of_two_halves_that_differ_somebody_says_which_is_right(
    run_job, data, engine, published, at
):
    first = run_job()
    words = {WORDS: WordsLens()}
    assert repair(data, engine, words) == (data.read_published(), None)
    lose_checksums(data.locate_generation(first.generation))
    flip("faiss/*.faiss", at=at)(data.locate_generation(first.generation))
    with pytest.raises(UsageError, match=r"differ.*--from qdrant or --from mirror"):
        repair(data, engine, words)
    assert data.list_generations() == [first.generation]
    assert repair(data, engine, words, half="Qdrant")[1] == "Qdrant"
    assert published.differences() == []


def test_so_where_a_half_opens_and_can_t_be_read_to_its_end(run_job, data, engine, published):
    first = run_job()
    words = {WORDS: WordsLens()}
    folder = data.locate_generation(first.generation)
    lose_checksums(folder)
    [payloads] = folder.glob("qdrant/segments/*/payload_storage/page_0.dat")
    with payloads.open("r+b") as file:
        file.seek(20)
        file.write(b"\1" * 100)
    with pytest.raises(UsageError, match=r"differ.*--from qdrant or --from mirror"):
        repair(data, engine, words)
    assert repair(data, engine, words, half="the FAISS mirror")[1] == "the FAISS mirror"
    assert (len(published.vectors()), published.differences()) == (10, [])


def test_a_half_that_has_lost_vectors_is_not_published(run_job, data, engine, published):
    """It can be read, and its ids are all there."""
    first = run_job()
    lose_checksums(data.locate_generation(first.generation))
    shard = data.locate_generation(first.generation) / "qdrant"
    with closing(EdgeStore.open(shard)) as store:
        found = store.get(["video1", "video2"], with_vectors=True)
        store.upsert([replace(one, vectors={TITLE: one.vectors[TITLE]}) for one in found.values()])
    with pytest.raises(StoreCorrupt, match="8 of thumbnail, where there were 10"):
        run_job()
    assert repair(data, engine, {WORDS: WordsLens()})[1] == "the FAISS mirror"
    assert published.vectors()["video1"] == {TITLE, "thumbnail"}
    assert published.differences() == []


def test_what_has_no_whole_half_is_left_as_it_is(run_job, data, engine):
    first = run_job()
    for damage in (cut("faiss/*.faiss"), remove("qdrant/segments/*")):
        damage(data.locate_generation(first.generation))
    kept = files_in(data.generations)
    with pytest.raises(StoreCorrupt, match=r"Qdrant: .*mirror: .*--fresh"):
        repair(data, engine, {WORDS: WordsLens()})
    assert files_in(data.generations) == kept


def test_damage_of_the_mirror_is_not_carried_into_the_next_generation(run_job, catalogue, data):
    first = run_job()
    lose_checksums(data.locate_generation(first.generation))
    flip("faiss/title.faiss", at=0.5)(data.locate_generation(first.generation))
    catalogue.add("another")
    with pytest.raises(StoreCorrupt, match=r"title vectors that differ.*twinlens repair"):
        run_job()
    assert data.read_current() == first.generation


@pytest.mark.parametrize("how", ["prune", "fresh"])
def test_more_than_a_fifth_goes_only_if_that_is_allowed(run_job, catalogue, data, published, how):
    first = run_job()
    for number in range(3):
        del catalogue.rows[f"video{number}"]
    catalogue.add("another", picture=jpeg((1, 2, 3)))
    if how == "fresh":
        del catalogue.rows["another"]
    with pytest.raises(TooMuchLost, match=r"lose 3 of 1[01] videos.*--allow-loss"):
        run_job(**{how: True})
    assert data.read_current() == first.generation
    allowed = run_job(**{how: True}, allow_loss=True)
    assert (allowed.continued, allowed.videos) == (True, 7 + (how == "prune"))
    assert published.differences() == []


def test_what_a_fresh_index_or_a_rollback_left_is_not_deleted_by_a_later_job(
    run_job, catalogue, data
):
    first = run_job()
    remove("faiss")(data.locate_generation(first.generation))
    second = run_job(fresh=True)
    catalogue.add("another")
    third = run_job()
    # The damaged one is superseded, and nobody can read all of it.
    assert data.list_generations() == [first.generation, second.generation, third.generation]
    # Killed after it had published, and left by a rollback: it is no build.
    (data.locate_generation(third.generation) / "build.json").write_text("{}")
    data.switch_to(second.generation)
    del catalogue.rows["another"]
    assert not run_job().published
    assert third.generation in data.list_generations()


def test_a_mark_by_a_generation_that_was_never_published_counts_for_nothing(
    run_job, catalogue, data
):
    first = run_job()
    (data.locate_generation(first.generation) / "superseded").write_text("never")
    data.current_file.unlink()
    run_job(fresh=True)
    catalogue.add("another")
    run_job()
    assert first.generation in data.list_generations()


def test_a_fresh_index_of_as_many_other_videos_is_a_loss(run_job, catalogue, data):
    run_job()
    catalogue.rows = {}
    catalogue.add_titles(range(100, 110))
    with pytest.raises(TooMuchLost, match="lose 10 of 10"):
        run_job(fresh=True)


@pytest.mark.slow
def test_a_build_is_kept_when_its_ledger_is_only_locked(run_job, break_off, data):
    break_off()
    [build] = data.list_generations()
    with closing(sqlite3.connect(data.locate_generation(build) / "ledger.sqlite")) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="locked"):
            run_job()
    assert run_job().continued


@pytest.mark.parametrize(
    "wrong", [{"lenses": []}, {"fields": [1]}, {"counts": {}}, {"generation": "x"}]
)
def test_a_manifest_of_another_form_is_damaged_and_what_it_says_beside_is_not(run_job, data, wrong):
    first = run_job()
    file = data.locate_generation(first.generation) / "manifest.json"
    values = json.loads(file.read_text())
    beside = {"unknown": 1, "counts": values["counts"] | {"unknown": 1}}
    file.write_text(json.dumps(values | beside))
    assert data.find_damage(first.generation) is None
    assert run_job().unchanged == 10
    file.write_text(json.dumps(values | wrong))
    with pytest.raises(NoGeneration, match="damaged"):
        run_job()
