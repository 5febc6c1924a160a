from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tests.backend.catalogue import Catalogue
from tests.fakes import MemoryReader, WordEncoder
from twinlens.catalog.errors import LensesChanged, NoGeneration, StoreCorrupt
from twinlens.encoders.lenses import THUMBNAIL, TITLE
from twinlens.search.published import PublishedIndex
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


@pytest.fixture
def data(tmp_path):
    return DataDir(tmp_path)


@pytest.fixture
def publish(data, catalogue):
    return lambda generation: catalogue.publish(data, generation)


@pytest.fixture
def opener(catalogue):
    return Opener(catalogue)


@pytest.fixture
def unpublished(data, opener, clock, catalogue):
    """An index of which nothing is published yet."""
    index = PublishedIndex(
        data, open_reader=opener, lenses=catalogue.lenses, reopen_after_s=5, clock=clock
    )
    yield index
    index.close()


@pytest.fixture
def index(unpublished, publish):
    """An index that serves its first generation."""
    publish("g1")
    assert serving(unpublished) == "g1"
    return unpublished


def serving(index: PublishedIndex) -> str:
    with index.borrow() as snapshot:
        snapshot.reader.get(["beach-1"])
        return snapshot.generation


def test_nothing_is_opened_before_the_first_borrow_nor_twice(unpublished, opener, publish):
    with pytest.raises(NoGeneration, match="twinlens index"):
        serving(unpublished)
    publish("g1")
    assert opener.attempts == []
    assert serving(unpublished) == serving(unpublished) == "g1"
    assert opener.attempts == ["g1"]


def test_a_new_generation_is_served_and_the_old_one_closed(index, opener, publish):
    publish("g2")
    assert serving(index) == "g2"
    assert opener.opened["g1"].closed
    assert not opener.opened["g2"].closed


def test_the_old_one_stays_open_until_its_last_borrower_ends(index, opener, publish):
    with index.borrow() as first, index.borrow() as second:
        publish("g2")
        assert serving(index) == "g2"
        assert first.generation == second.generation == "g1"
        assert not opener.opened["g1"].closed
        first.reader.get(["beach-1"])
    assert opener.opened["g1"].closed


def test_others_go_on_with_the_old_one_while_the_new_one_opens(index, opener, publish):
    opening, may_open = threading.Event(), threading.Event()

    def slowly(manifest: Manifest) -> MemoryReader:
        opening.set()
        assert may_open.wait(10)
        return opener(manifest)

    index._open_reader = slowly
    publish("g2")
    with ThreadPoolExecutor(1) as pool:
        noticed = pool.submit(serving, index)
        assert opening.wait(10)
        assert serving(index) == "g1"
        may_open.set()
        assert noticed.result(10) == "g2"
    assert serving(index) == "g2"


def test_a_corrupt_new_one_is_logged_and_tried_again_later(index, opener, clock, publish, caplog):
    opener.broken.add("g2")
    publish("g2")
    with caplog.at_level(logging.ERROR, logger="twinlens.search.published"):
        assert serving(index) == "g1"
    assert "a torn file" in caplog.text
    assert serving(index) == "g1"
    assert opener.attempts == ["g1", "g2"]  # not at every request
    opener.broken.clear()
    clock.now_s += 4.9
    assert serving(index) == "g1"
    clock.now_s += 0.1
    assert serving(index) == "g2"


@pytest.mark.parametrize(("then", "attempts"), [("g1", ["g1", "g2"]), ("g3", ["g1", "g2", "g3"])])
def test_a_good_one_after_a_corrupt_one_is_taken_at_once(index, opener, publish, then, attempts):
    opener.broken.add("g2")
    publish("g2")
    assert serving(index) == "g1"
    publish(then)
    assert serving(index) == then
    assert opener.attempts == attempts  # what is still open is not opened again


def test_what_is_no_generation_or_is_gone_for_a_while_loses_no_request(index, data, clock):
    kept = data.current_file.read_text()
    data.current_file.write_text("g2\n")  # which lacks its manifest
    assert serving(index) == "g1"
    data.current_file.write_text("../evil\n")
    clock.now_s += 60
    assert serving(index) == "g1"
    data.current_file.unlink()
    assert serving(index) == "g1"
    data.current_file.write_text(kept)
    assert serving(index) == "g1"


def test_one_by_other_encoders_is_not_taken(index, opener, data, caplog):
    Catalogue(titles=WordEncoder(fingerprint="0123456789abcdef")).publish(data, "g2")
    assert serving(index) == "g1"
    assert "0123456789abcdef" in caplog.text
    assert opener.attempts == ["g1"]


def test_other_encoders_from_the_start_are_refused_and_named(unpublished, data, publish):
    Catalogue(titles=WordEncoder(fingerprint="0123456789abcdef")).publish(data, "g1")
    with pytest.raises(LensesChanged) as raised:
        serving(unpublished)
    assert "title: test:words (0123456789abcdef) became" in str(raised.value)
    assert "thumbnail:" not in str(raised.value)
    # A generation older than words.
    manifest = publish("g1")
    lenses = {name: manifest.lenses[name] for name in (TITLE, THUMBNAIL)}
    data.publish(replace(manifest, lenses=lenses))
    with pytest.raises(LensesChanged, match="words: none became"):
        serving(unpublished)


def test_a_block_that_fails_gives_its_share_back(index, opener, publish):
    with pytest.raises(KeyError), index.borrow():
        raise KeyError("a mistake of the borrower")
    publish("g2")
    serving(index)
    assert opener.opened["g1"].closed


def test_an_old_one_that_will_not_close_fails_no_request(
    index, opener, publish, monkeypatch, caplog
):
    monkeypatch.setattr(opener.opened["g1"], "close", lambda: 1 / 0)
    publish("g2")
    assert serving(index) == "g2"
    assert "g1 did not close cleanly" in caplog.text


def test_closing_closes_and_a_borrow_reopens(index, opener):
    index.close()
    assert opener.opened["g1"].closed
    assert serving(index) == "g1"
    assert opener.attempts == ["g1", "g1"]
