"""Phrases in quotes and words to leave out: how they are read, and that hits are as they say."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.backend.catalogue import ODD_ID
from tests.fakes import MemoryReader, WordEncoder, sparse_words
from twinlens.catalog.fields import FIELDS
from twinlens.encoders.lenses import TITLE, WORDS
from twinlens.search import binding
from twinlens.search.phrases import Demands, Phrase, fold_text, read_text
from twinlens.search.request import SearchRequest
from twinlens.search.searcher import Searcher
from twinlens.stores.base import StoredVideo
from twinlens.stores.filters import AnyOf


@pytest.mark.parametrize(
    ("written", "text", "phrases", "without"),
    [
        ('cricket "final over" -test', "cricket final over", ["final over"], ["test"]),
        ('-"a b" c', "c", [], ["a b"]),
        ("“ශ්‍රී ලංකා” ක්‍රිකට් -තරගය", "ශ්‍රී ලංකා ක්‍රිකට්", ["ශ්‍රී ලංකා"], ["තරගය"]),
        ("«тихий дон» -фильм", "тихий дон", ["тихий дон"], ["фильм"]),
        ("x -spider-man -c++", "x", [], ["spider man", "c++"]),
        ('"東京" -大学', "東京", ["東京"], ["大学"]),
        ("-cricket", None, [], ["cricket"]),
        ('"fine".', "fine.", ["fine"], []),
        # What only looks like one.
        *(
            (one, one, [], [])
            for one in (
                'say "hello',
                '27" monitor vs 24" monitor',
                'x -"a b',
                '"?!" x',
                '-"?!"',
                "- a",
                "-- a --b",
                "-",
                '"',
                '""',
                "spider-man",
                "rock - paper",
                '"cricket"final',
                'a"b" c"d"',
            )
        ),
    ],
)
def test_what_a_text_demands(written, text, phrases, without):
    read = read_text(written)
    assert read.text == text
    assert read.demands == Demands(*(tuple(map(Phrase.of, some)) for some in (phrases, without)))


@given(st.text(alphabet='ab -"“”«»?\u200dක්ə東', max_size=40))
def test_no_text_is_too_odd_to_be_read(written):
    read = read_text(written)
    assert (read.text or "x").strip()
    assert all(one.words for one in (*read.demands.phrases, *read.demands.without))
    if not read.demands:
        assert read.text == (written.strip() or None)


TITLE_READ = "The Cricket FINAL: over 東京大学 ශ්‍රී ලංකාවේ naïve"


@pytest.mark.parametrize(
    ("phrase", "is_in"),
    [
        ("final over", True), ("FINAL, over!", True), ("over final", False), ("inal over", False),
        ("the", True), ("th", False), ("東京", True), ("京大", True), ("京東", False),
        ("ශ්රී", True), ("ලංකා", False), ("naive", True), ("over 東京", True), ("大学 ශ්රී", True),
    ],
)  # fmt: skip
def test_phrases_are_compared_by_whole_words_as_the_ranking_folds_them(phrase, is_in):
    assert Phrase.of(phrase).is_in(fold_text({"title": TITLE_READ}, FIELDS)) is is_in


# ---- in a search


def library(titles: list[str | None]) -> MemoryReader:
    encoder = WordEncoder()
    return MemoryReader(
        [
            StoredVideo(
                f"v{at:04}",
                {"video_id": f"v{at:04}", **({} if title is None else {"title": title})},
                {TITLE: encoder.encode([title or "none"])[0]},
                {WORDS: words} if (words := sparse_words(title or "").get(WORDS)) else {},
            )
            for at, title in enumerate(titles)
        ]
    )


@pytest.fixture
def over(catalogue):
    return lambda reader: Searcher(reader, generation="g", lenses=catalogue.lenses)


def ask(searcher: Searcher, written: str, **options) -> list[str]:
    text, demands = read_text(written)
    request = SearchRequest(text=text, demands=demands, limit=100, **options)
    return [hit.video_id for hit in searcher.search(request).hits]


COMMON = "film"
TITLES = [
    *(f"{COMMON} about tea number {at}" for at in range(60)),
    *(f"{COMMON} of a red kite {at}" for at in range(30)),
    "kite red",
    "red kites",
    "a 東京大学 lecture",
    None,
]
SEARCHES = [
    '"red kite"', 'tea "red kite"', "film -tea", "film -kite -tea", '"about tea" -"number 7"',
    '"film of" red', "東京 -film", '"東京"', '"kite red"', '"tea kite"', '"nothing has this"',
    '"film" -red', 'film -"a red"',
]  # fmt: skip


@pytest.mark.parametrize("most_having", [1000, 40, 1])
@pytest.mark.parametrize("written", SEARCHES)
def test_a_page_is_full_of_what_is_demanded_or_short_as_the_catalogue_is(
    over, monkeypatch, written, most_having
):
    """However common a word is: whether the engine is told of ids, or rankings are read further."""
    monkeypatch.setattr(binding, "MOST_HAVING", most_having)
    reader = library(TITLES)
    searcher = over(reader)
    demands = read_text(written).demands
    fitting = {
        one.video_id
        for batch in reader.scan()
        for one in batch
        if demands.hold(fold_text(one.payload, FIELDS))
    }
    found = ask(searcher, written, window=10)
    assert set(found) <= fitting
    assert len(found) >= min(10, len(fitting))
    assert set(ask(searcher, written, window=200)) == fitting


def test_a_phrase_is_found_however_far_down_it_lies(over):
    titles = [f"{COMMON} {at % 7} {at}" for at in range(150)] + ["seven samurai in winter"]
    searcher = over(library(titles))
    assert ask(searcher, 'film "seven samurai"', window=5) == ["v0150"]
    assert ask(searcher, 'film -"seven samurai"', window=5)


def test_what_is_demanded_holds_for_pages_filters_and_videos_too(searcher):
    text, demands = read_text('"film number" -3 -beach')
    request = SearchRequest(text=text, demands=demands, limit=4)
    found, page = [], searcher.search(request)
    found += page.hits
    while page.next_cursor:
        page = searcher.search(replace(request, cursor=page.next_cursor))
        found += page.hits
    names = [hit.video_id for hit in found]
    assert sorted(names) == sorted(
        f"{one}-{at}" for one in ("kitchen", "cricket") for at in range(10) if at != 3
    )
    assert ODD_ID not in names
    near = searcher.search(
        SearchRequest(
            video_id="beach-3", demands=demands, filter=AnyOf("language", ("si",)), limit=100
        )
    )
    assert {hit.video_id for hit in near.hits} == {
        f"{one}-{at}" for one in ("kitchen", "cricket") for at in (1, 4, 7)
    }


def test_a_common_word_costs_few_calls_of_the_engine(over, monkeypatch):
    monkeypatch.setattr(binding, "MOST_HAVING", 20)
    monkeypatch.setattr(binding, "_MOST_RANKS", 40)
    reader = library([f"{COMMON} {at}" for at in range(400)])
    assert ask(over(reader), "film -film", window=10) == []
    assert len(reader.searches) <= 1 + 2 * binding._MOST_ROUNDS
