from __future__ import annotations

import logging
import threading
from dataclasses import replace

import pytest

from tests.backend.catalogue import Catalogue
from tests.fakes import MemoryReader, WordEncoder
from twinlens.catalog.errors import EncodersChanged, NoGeneration, StoreCorrupt
from twinlens.encoders.lenses import THUMBNAIL, TITLE, own_lenses
from twinlens.search.published import PublishedIndex
from twinlens.search.request import SearchRequest
from twinlens.stores.base import StoredVideo
from twinlens.stores.edge import EdgeStore
from twinlens.stores.engines import open_reader
from twinlens.stores.generations import DataDir, Manifest


class Opener:
    """Opens a memory reader per generation; the generations in ``broken`` can't be opened."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self.opened: dict[str, MemoryReader] = {}
        self.attempts: list[str] = []
        self.broken: set[str] = set()

    def __call__(self, manifest: Manifest) -> MemoryReader:
        self.attempts.append(manifest.generation)
        if manifest.generation in self.broken:
            raise StoreCorrupt("a torn file")
        reader = self.opened[manifest.generation] = MemoryReader(self._catalogue.stored())
        return reader


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def data(tmp_path):
    return DataDir(tmp_path)


@pytest.fixture
def opener(catalogue):
    return Opener(catalogue)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def index(data, opener, clock, catalogue):
    index = PublishedIndex(
        data,
        open_reader=opener,
        lenses=own_lenses(catalogue.titles, catalogue.thumbnails),
        reopen_after_s=5,
        clock=clock,
    )
    yield index
    index.close()


def serving(index: PublishedIndex) -> str:
    with index.borrow() as snapshot:
        snapshot.reader.get(["beach-1"])
        return snapshot.generation


def test_nothing_is_opened_before_the_first_borrow(index, opener, data, catalogue):
    catalogue.publish(data, "g1")
    assert opener.attempts == []
    assert serving(index) == serving(index) == "g1"
    assert opener.attempts == ["g1"]


def test_without_a_generation_a_borrow_says_what_to_do(index):
    with pytest.raises(NoGeneration, match="twinlens index"):
        serving(index)


def test_the_first_generation_is_noticed_when_it_comes(index, data, catalogue):
    with pytest.raises(NoGeneration):
        serving(index)
    catalogue.publish(data, "g1")
    assert serving(index) == "g1"


def test_a_new_generation_is_served_and_the_old_one_closed(index, opener, data, catalogue):
    catalogue.publish(data, "g1")
    serving(index)
    catalogue.publish(data, "g2")
    assert serving(index) == "g2"
    assert opener.opened["g1"].closed
    assert not opener.opened["g2"].closed


def test_the_old_one_stays_open_until_its_last_borrower_ends(index, opener, data, catalogue):
    catalogue.publish(data, "g1")
    with index.borrow() as first, index.borrow() as second:
        catalogue.publish(data, "g2")
        assert serving(index) == "g2"
        assert first.generation == second.generation == "g1"
        assert not opener.opened["g1"].closed
        first.reader.get(["beach-1"])
    assert opener.opened["g1"].closed


def test_others_go_on_with_the_old_one_while_the_new_one_opens(index, opener, data, catalogue):
    catalogue.publish(data, "g1")
    serving(index)
    opening, may_open = threading.Event(), threading.Event()

    def slowly(manifest: Manifest) -> MemoryReader:
        opening.set()
        assert may_open.wait(10)
        return opener(manifest)

    index._open_reader = slowly
    catalogue.publish(data, "g2")
    noticed: list[str] = []
    thread = threading.Thread(target=lambda: noticed.append(serving(index)))
    thread.start()
    assert opening.wait(10)
    assert serving(index) == "g1"
    may_open.set()
    thread.join(10)
    assert noticed == ["g2"]
    assert serving(index) == "g2"


def test_a_corrupt_new_one_is_logged_and_tried_again_later(
    index, opener, clock, data, catalogue, caplog
):
    catalogue.publish(data, "g1")
    serving(index)
    opener.broken.add("g2")
    catalogue.publish(data, "g2")
    with caplog.at_level(logging.ERROR, logger="twinlens.search.published"):
        assert serving(index) == "g1"
    assert "a torn file" in caplog.text
    assert serving(index) == "g1"
    assert opener.attempts == ["g1", "g2"]  # not at every request
    opener.broken.clear()
    clock.now_s = 4.9
    assert serving(index) == "g1"
    clock.now_s = 5
    assert serving(index) == "g2"


def test_a_good_one_after_a_corrupt_one_is_taken_at_once(index, opener, data, catalogue):
    catalogue.publish(data, "g1")
    serving(index)
    opener.broken.add("g2")
    catalogue.publish(data, "g2")
    assert serving(index) == "g1"
    catalogue.publish(data, "g3")
    assert serving(index) == "g3"


def test_going_back_to_the_open_one_after_a_corrupt_one_opens_nothing(
    index, opener, data, catalogue
):
    catalogue.publish(data, "g1")
    serving(index)
    opener.broken.add("g2")
    catalogue.publish(data, "g2")
    serving(index)
    catalogue.publish(data, "g1")
    assert serving(index) == "g1"
    assert opener.attempts == ["g1", "g2"]


def test_one_that_lacks_its_manifest_is_not_taken(index, data, catalogue, clock):
    catalogue.publish(data, "g1")
    serving(index)
    data.current_file.write_text("g2\n")
    assert serving(index) == "g1"
    data.current_file.write_text("../evil\n")
    clock.now_s = 60
    assert serving(index) == "g1"


def test_one_by_other_encoders_is_not_taken(index, opener, data, catalogue, caplog):
    catalogue.publish(data, "g1")
    serving(index)
    other = Catalogue(titles=WordEncoder(fingerprint="0123456789abcdef"))
    other.publish(data, "g2")
    assert serving(index) == "g1"
    assert "0123456789abcdef" in caplog.text
    assert opener.attempts == ["g1"]


def test_other_encoders_from_the_start_are_refused_and_named(index, data):
    other = Catalogue(titles=WordEncoder(fingerprint="0123456789abcdef"))
    other.publish(data, "g1")
    with pytest.raises(EncodersChanged) as raised:
        serving(index)
    assert "title: test:words (0123456789abcdef) became" in str(raised.value)
    assert "thumbnail:" not in str(raised.value)


def test_losing_current_for_a_while_loses_no_request(index, data, catalogue):
    catalogue.publish(data, "g1")
    serving(index)
    kept = data.current_file.read_text()
    data.current_file.unlink()
    assert serving(index) == "g1"
    data.current_file.write_text(kept)
    assert serving(index) == "g1"


def test_a_block_that_fails_gives_its_share_back(index, opener, data, catalogue):
    catalogue.publish(data, "g1")
    with pytest.raises(KeyError), index.borrow():
        raise KeyError("a mistake of the borrower")
    catalogue.publish(data, "g2")
    serving(index)
    assert opener.opened["g1"].closed


def test_an_old_one_that_will_not_close_fails_no_request(
    index, opener, data, catalogue, monkeypatch, caplog
):
    catalogue.publish(data, "g1")
    with index.borrow():
        monkeypatch.setattr(opener.opened["g1"], "close", lambda: 1 / 0)
        catalogue.publish(data, "g2")
        assert serving(index) == "g2"
    assert "g1 did not close cleanly" in caplog.text


def test_closing_closes_and_a_borrow_reopens(index, opener, data, catalogue):
    catalogue.publish(data, "g1")
    serving(index)
    index.close()
    assert opener.opened["g1"].closed
    assert serving(index) == "g1"
    assert opener.attempts == ["g1", "g1"]


def publish_embedded(catalogue: Catalogue, data: DataDir, generation: str, marker: int) -> None:
    """A real embedded generation, whose payloads say by ``marker`` which one they are of."""
    manifest = replace(catalogue.manifest(generation), counts={"videos": 31})
    videos = [
        StoredVideo(one.video_id, {**one.payload, "view_count": marker}, one.vectors)
        for one in catalogue.stored()
    ]
    store = EdgeStore.create(data.generation_path(generation) / "qdrant", manifest.dims)
    store.upsert(videos)
    store.optimize()
    store.close()
    data.publish(manifest)


def test_no_search_fails_while_generations_are_published_and_pruned(data, catalogue):
    publish_embedded(catalogue, data, "g0", 0)
    index = PublishedIndex(
        data,
        open_reader=lambda manifest: open_reader(data, manifest),
        lenses=own_lenses(catalogue.titles, catalogue.thumbnails),
    )
    stop = threading.Event()
    failures: list[BaseException] = []
    seen: set[str] = set()
    searches = [0]

    def keep_searching() -> None:
        try:
            while not stop.is_set():
                with index.borrow() as snapshot:
                    result = snapshot.searcher.search(SearchRequest(video_id="beach-3"))
                    # Every hit is of the generation that was borrowed, never of another.
                    marker = int(snapshot.generation.removeprefix("g"))
                    assert {hit.payload["view_count"] for hit in result.hits} == {marker}
                    assert len(result.hits) == 20
                    assert snapshot.reader.count(TITLE) == 31
                    seen.add(snapshot.generation)
                    searches[0] += 1
                stop.wait(0.001)
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=keep_searching) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for number in range(1, 4):
            publish_embedded(catalogue, data, f"g{number}", number)
            reached = threading.Event()
            for _ in range(500):
                if f"g{number}" in seen or failures:
                    break
                reached.wait(0.01)
            if number >= 2:
                data.remove(f"g{number - 2}")
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
        index.close()
    assert failures == []
    assert seen == {f"g{number}" for number in range(4)}
    assert searches[0] > 20


def test_a_generation_older_than_words_is_refused_and_says_why(index, data, catalogue):
    manifest = catalogue.publish(data, "g1")
    data.publish(
        replace(manifest, lenses={name: manifest.lenses[name] for name in (TITLE, THUMBNAIL)})
    )
    with pytest.raises(EncodersChanged, match="words: none became"):
        serving(index)
