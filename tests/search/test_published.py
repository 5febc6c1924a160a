from __future__ import annotations

import gc
import logging
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tests.backend.catalogue import Catalogue
from tests.backend.served import wait_until
from tests.fakes import MemoryReader, WordEncoder
from twinlens.catalog.errors import (
    EncoderUnavailable,
    LensesChanged,
    NoGeneration,
    StoreCorrupt,
    StoreUnavailable,
)
from twinlens.encoders.lenses import THUMBNAIL, TITLE, WORDS
from twinlens.search.published import Newer, PublishedIndex
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
        data,
        open_reader=opener,
        open_lenses=lambda *_: catalogue.lenses,
        reopen_after_s=5,
        clock=clock,
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
    assert index.newer == Newer("g2", "unusable")
    assert serving(index) == "g1"
    assert opener.attempts == ["g1", "g2"]  # not at every request
    for pause_s in (5, 10, 20, 40, 60, 60):
        caplog.clear()
        clock.now_s += pause_s - 0.1
        tried = len(opener.attempts)
        assert serving(index) == "g1"
        assert len(opener.attempts) == tried
        clock.now_s += 0.1
        assert serving(index) == "g1"
        assert len(opener.attempts) == tried + 1
        assert not caplog.records  # it is said already
    opener.broken.clear()
    clock.now_s += 60
    assert serving(index) == "g2"
    assert index.newer is None


@pytest.mark.parametrize(("then", "attempts"), [("g1", ["g1", "g2"]), ("g3", ["g1", "g2", "g3"])])
def test_a_good_one_after_a_corrupt_one_is_taken_at_once(index, opener, publish, then, attempts):
    opener.broken.add("g2")
    publish("g2")
    assert serving(index) == "g1"
    publish(then)
    assert serving(index) == then
    assert index.newer is None
    assert opener.attempts == attempts  # what is still open is not opened again


def test_a_server_that_is_away_is_asked_again_soon(unpublished, opener, clock, publish):
    publish("g1")
    index = unpublished
    open_reader, index._open_reader = index._open_reader, away
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            serving(index)
        clock.now_s += 0.5
    index._open_reader = open_reader
    assert serving(index) == "g1"


def away(manifest: Manifest) -> MemoryReader:
    raise StoreUnavailable("nobody answers")


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
    assert index.newer == Newer("g2", "other_lenses")
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


OTHER = Catalogue(titles=WordEncoder(dim=16, fingerprint="0123456789abcdef"))


class LensOpener:
    """Opens the lenses of a generation by their fingerprints; ``refuse`` says why it can't."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._lenses = {
            lens.fingerprint: lens for one in (catalogue, OTHER) for lens in one.lenses.values()
        }
        self.asked: list[tuple[str, set[str]]] = []
        self.refuse = ""
        self.go = threading.Event()
        self.go.set()

    def __call__(self, manifest: Manifest, names):
        self.asked.append((manifest.generation, set(names)))
        assert self.go.wait(10)
        if self.refuse:
            raise EncoderUnavailable(self.refuse)
        return {name: self._lenses[manifest.lenses[name].fingerprint] for name in names}


@pytest.fixture
def lens_opener(unpublished, catalogue):
    unpublished._open_lenses = LensOpener(catalogue)
    return unpublished._open_lenses


def test_the_lenses_that_changed_are_opened_and_the_others_are_kept(
    lens_opener, index, data, catalogue
):
    assert lens_opener.asked == [("g1", {TITLE, WORDS, THUMBNAIL})]
    with index.borrow() as old:
        assert list(old.lenses) == list(catalogue.lenses)
        OTHER.publish(data, "g2")
        with index.borrow() as new:
            assert new.generation == "g2"
            assert new.lenses[TITLE].dim == 16
            assert new.lenses[THUMBNAIL] is old.lenses[THUMBNAIL]
            assert index.read_lenses() is new.lenses
        assert old.lenses[TITLE].dim == 32  # those who borrowed it go on with it
    assert lens_opener.asked[1:] == [("g2", {TITLE})]
    catalogue.publish(data, "g3")
    assert serving(index) == "g3"
    assert lens_opener.asked[2:] == [("g3", {TITLE})]


def test_lenses_that_are_not_needed_any_more_are_let_go(unpublished, data, catalogue):
    unpublished._open_lenses = lambda manifest, names: {
        name: lens
        for one in (Catalogue(), Catalogue(titles=OTHER.titles))
        for name, lens in one.lenses.items()
        if name in names and lens.fingerprint == manifest.lenses[name].fingerprint
    }
    catalogue.publish(data, "g1")
    with unpublished.borrow() as snapshot:
        title, words = (weakref.ref(snapshot.lenses[name]) for name in (TITLE, WORDS))
        OTHER.publish(data, "g2")
        assert serving(unpublished) == "g2"
        assert title() is not None
    del snapshot
    gc.collect()
    assert title() is None
    assert words() is not None


def test_while_a_model_can_not_be_had_the_old_generation_serves_on(
    lens_opener, index, data, clock, caplog
):
    lens_opener.refuse = "it is nowhere"
    OTHER.publish(data, "g2")
    assert serving(index) == "g1"
    assert index.newer == Newer("g2", "no_model")
    [said] = caplog.records
    assert "the open one goes on serving" in said.message
    assert "it is nowhere" in said.message
    assert said.exc_info is None
    clock.now_s += 5
    lens_opener.refuse = "it is torn"
    assert serving(index) == "g1"
    assert "it is torn" in caplog.text
    lens_opener.refuse = ""
    clock.now_s += 10
    assert serving(index) == "g2"


def test_models_loaded_for_what_can_not_be_opened_are_not_loaded_at_each_try(
    lens_opener, index, opener, data, clock
):
    opener.broken.add("g2")
    OTHER.publish(data, "g2")
    for _ in range(3):
        assert serving(index) == "g1"
        clock.now_s += 60
    assert opener.attempts == ["g1", "g2", "g2", "g2"]
    opener.broken.clear()
    assert serving(index) == "g2"
    assert lens_opener.asked[1:] == [("g2", {TITLE})]


def test_nobody_waits_for_models_while_it_follows(lens_opener, index, data):
    lens_opener.go.clear()
    index.follow()
    OTHER.publish(data, "g2")
    wait_until(lambda: len(lens_opener.asked) == 2)
    assert serving(index) == index.check() == "g1"
    assert index.newer == Newer("g2", "loading")
    lens_opener.go.set()
    wait_until(lambda: serving(index) == "g2")
    assert index.newer is None


def test_the_first_generation_is_opened_by_itself_while_it_follows(
    lens_opener, unpublished, publish
):
    unpublished.follow()
    lens_opener.go.clear()
    for _ in range(2):
        for ask in (serving, PublishedIndex.check):
            with pytest.raises(NoGeneration, match="none is published yet"):
                ask(unpublished)
        if not lens_opener.asked:
            publish("g1")
            wait_until(lambda: lens_opener.asked)
    lens_opener.go.set()
    wait_until(lambda: unpublished.newer is None)
    assert unpublished.check() == "g1"
