from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.backend.catalogue import ODD_ID, RED, picture_bytes
from tests.fakes import MemoryReader, sparse_words
from twinlens.catalog.errors import PictureRejected, UnencodableItems
from twinlens.encoders.lenses import THUMBNAIL, TITLE, WORDS
from twinlens.encoders.words import weigh_query
from twinlens.search.cursor import CursorExpired, CursorInvalid
from twinlens.search.request import MultiSearchRequest, SearchRequest, VideoNotFound
from twinlens.search.searcher import BORROWED_WEIGHT, Searcher
from twinlens.stores.base import StoredVideo
from twinlens.stores.filters import AnyOf


def find(searcher: Searcher, **request):
    return searcher.search(SearchRequest(**request))


def ids(searcher: Searcher, **request) -> list[str]:
    return [hit.video_id for hit in find(searcher, **request).hits]


@pytest.fixture
def over(catalogue):
    """Makes a searcher over a reader of its own."""
    return lambda reader: Searcher(reader, generation="g2", lenses=catalogue.lenses)


# ---- what is asked


@pytest.mark.parametrize(
    ("given", "calls"),
    [
        ({"picture": RED}, [[THUMBNAIL]]),
        ({"text": "film", "picture": RED}, [[TITLE, THUMBNAIL, WORDS]]),
        ({"video_id": "beach-3"}, [[TITLE, THUMBNAIL, WORDS]]),
        ({"video_id": ODD_ID}, [[TITLE, WORDS]]),  # it has no thumbnail
        ({"text": "?!", "expand": 0}, [[TITLE]]),
        ({"text": "kitchen", "expand": 0}, [[TITLE, WORDS]]),
        ({"text": "kitchen", "expand": 2}, [[TITLE, WORDS], [THUMBNAIL]]),
        ({"text": "ක්‍රිකට්", "expand": 1}, [[TITLE, WORDS]]),  # its best has none to lend
        ({"video_id": "beach-3", "weights": {TITLE: 0.0, WORDS: 0.0}}, [[THUMBNAIL]]),
        ({"video_id": "beach-3", "weights": {WORDS: 0.0}}, [[TITLE, THUMBNAIL]]),
    ],
)
def test_every_lens_that_can_be_asked_is_asked_in_one_call(searcher, reader, given, calls):
    result = find(searcher, **given)
    assert [[query.lens for query in queries] for queries in reader.searches] == calls
    assert bool(result.borrowed_from) == (len(calls) > 1)


@pytest.mark.parametrize("weights", [{TITLE: 0.0}, {WORDS: 0.0}, {TITLE: 0.0, WORDS: 0.0}])
def test_what_has_weight_0_still_lends_its_thumbnails(searcher, reader, weights):
    result = find(searcher, text="beach", weights=weights)
    names = [[query.lens for query in queries] for queries in reader.searches]
    assert names == [[TITLE, WORDS], [THUMBNAIL]]
    assert all(name not in hit.sources for hit in result.hits for name in weights)
    assert result.hits


def test_several_sources_of_one_lens_meet_in_the_middle(searcher, reader, catalogue):
    find(searcher, text="cricket", video_id="beach-1")
    title, _, words = reader.searches[0]
    middle = catalogue.titles.encode(["cricket", "beach film number 1"]).sum(axis=0)
    np.testing.assert_allclose(title.vector, middle / np.linalg.norm(middle), rtol=1e-5)
    assert title.vector.dtype == np.float32
    assert all(map(np.array_equal, words.vector, weigh_query("cricket beach film number 1")))


# ---- what is found


def test_words_find_videos_of_those_words(searcher):
    assert all(one.startswith("cricket") for one in ids(searcher, text="cricket film", limit=10))
    [hit] = find(searcher, text="kitchn film nmber 7", limit=1, expand=0).hits
    assert (hit.video_id, hit.sources[WORDS].rank) == ("kitchen-7", 1)
    assert find(searcher, text="ක්‍රිකට්", expand=1).hits[0].video_id == ODD_ID


def test_a_picture_finds_its_like(searcher):
    hit = find(searcher, picture=RED, limit=3).hits[0]
    assert hit.video_id == "kitchen-4"
    assert hit.sources[THUMBNAIL].score == pytest.approx(1)
    assert "kitchen-7" in ids(searcher, text="film number 7", picture=RED, limit=5)


def test_a_video_is_left_out_of_what_is_like_it_and_the_window_stays_full(searcher):
    found = ids(searcher, video_id="beach-3", limit=100)
    assert "beach-3" not in found
    assert len(found) == 30
    assert all(one.startswith("beach") for one in found[:9])
    hits = find(searcher, video_id="beach-3", window=5, limit=100).hits
    for name in (TITLE, THUMBNAIL):
        ranks = [hit.sources[name].rank for hit in hits if name in hit.sources]
        assert sorted(ranks) == [1, 2, 3, 4, 5]


def test_words_count_as_far_as_their_best_title_has_them(searcher):
    assert find(searcher, text="kitchen film number 7", expand=0).words_coverage == 1
    some = find(searcher, text="kitchen qqqqqqqqqq", expand=0)
    assert 0.3 < some.words_coverage < 0.8
    hit = some.hits[0]
    expected = 1 / (5 + hit.sources[TITLE].rank)
    expected += 5 * some.words_coverage / (5 + hit.sources[WORDS].rank)
    assert hit.score == pytest.approx(expected)
    none = find(searcher, text="qqqqqq", expand=0)
    assert none.words_coverage == 0
    assert all(WORDS not in hit.sources for hit in none.hits)
    assert find(searcher, text="?!").words_coverage is None


def test_text_alone_borrows_the_thumbnails_of_its_best_titles(searcher, reader, catalogue):
    result = find(searcher, text="kitchen film", expand=2)
    asked = reader.searches[1][0].vector
    best = ids(searcher, text="kitchen film", expand=0)[:2]
    assert list(result.borrowed_from) == best
    middle = sum(one.vectors[THUMBNAIL] for one in catalogue.stored() if one.video_id in best)
    np.testing.assert_allclose(asked, middle / np.linalg.norm(middle), rtol=1e-5)


def test_a_borrowed_list_counts_for_less(searcher):
    hit = find(searcher, text="kitchen film").hits[0]
    expected = 1 / (5 + hit.sources[TITLE].rank) + 5 / (5 + hit.sources[WORDS].rank)
    expected += BORROWED_WEIGHT / (5 + hit.sources[THUMBNAIL].rank)
    assert hit.score == pytest.approx(expected)


def test_a_hit_has_the_lens_ranks_of_the_search_that_ranks_it_best(searcher):
    searches = [SearchRequest(text="beach film"), SearchRequest(text="cricket film")]
    request = MultiSearchRequest(searches=searches, shares=[1, 1], limit=30)
    alone = [
        {hit.video_id: hit.sources for hit in searcher.search(one.with_options(request)).hits}
        for one in searches
    ]
    hits = searcher.multi_search(request).hits
    assert {hit.found_by[0][0] for hit in hits} == {0, 1}
    for hit in hits:
        assert hit.sources == alone[hit.found_by[0][0]][hit.video_id]


# ---- pages


def test_three_rankings_that_share_nothing_are_paged_to_the_end(over, catalogue):
    stored = []
    title = catalogue.titles.encode(["needle"])[0]
    for number in range(15):
        thumbnail = np.eye(48, dtype=np.float32)[number]
        vectors = ({TITLE: title}, {THUMBNAIL: thumbnail}, {TITLE: -title})[number // 5]
        words = sparse_words("needle") if number // 5 == 2 else {}
        payload = {"video_id": f"v{number:02}", "title": "needle"}
        stored.append(StoredVideo(f"v{number:02}", payload, vectors, words))
    searcher, cursor, paged = over(MemoryReader(stored)), None, []
    request = SearchRequest(text="needle", picture=picture_bytes((9, 9, 9)), window=5)
    for limit in (4, 9, 4):  # the size of a page may change on the way
        page = searcher.search(replace(request, limit=limit, cursor=cursor))
        paged += page.hits
        cursor = page.next_cursor
    assert cursor is None
    assert [hit.rank for hit in paged] == list(range(1, 16))
    assert len({hit.video_id for hit in paged}) == 15


@pytest.mark.parametrize(
    "other",
    [
        {"text": "other"},
        {"video_id": "beach-1"},
        {"picture": b"x"},
        {"filter": AnyOf("language", ("en",))},
        {"weights": {TITLE: 2.0}},
        {"rrf_k": 10},
        {"window": 100},
        {"expand": 1},
    ],
)
def test_a_cursor_belongs_to_its_request(searcher, other):
    cursor = find(searcher, text="film", limit=3).next_cursor
    with pytest.raises(CursorInvalid):
        find(searcher, **{"text": "film", "limit": 3, "cursor": cursor, **other})


def test_a_cursor_belongs_to_its_generation(searcher, reader, over):
    cursor = find(searcher, text="film", limit=3).next_cursor
    with pytest.raises(CursorExpired):
        find(over(reader), text="film", limit=3, cursor=cursor)


# ---- what can't be searched by


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({}, ValueError, "nothing to search by"),
        ({"video_id": "nope"}, VideoNotFound, "nope"),
        ({"picture": b"GIF89a not really"}, PictureRejected, None),
    ],
)
def test_what_cant_be_searched_by_is_refused(searcher, given, error, said):
    with pytest.raises(error, match=said):
        find(searcher, **given)


def test_opposite_directions_have_no_middle(over, catalogue):
    title = catalogue.titles.encode(["up"])[0]
    searcher = over(MemoryReader([StoredVideo("down", {"video_id": "down"}, {TITLE: -title})]))
    with pytest.raises(UnencodableItems):
        find(searcher, text="up", video_id="down")


def test_an_empty_index_answers_no_hits(over):
    result = find(over(MemoryReader([])), text="anything")
    assert (result.hits, result.next_cursor) == ([], None)


def test_payloads_are_fetched_for_the_best_title_by_words_and_the_hits_of_the_page_only(
    searcher, reader, monkeypatch
):
    fetched, get = [], reader.get
    monkeypatch.setattr(
        reader, "get", lambda keys, **options: fetched.append(list(keys)) or get(keys, **options)
    )
    result = find(searcher, text="film", limit=4, expand=0)
    [best] = [hit.video_id for hit in result.hits if hit.sources[WORDS].rank == 1]
    assert fetched == [[best], [hit.video_id for hit in result.hits]]
    assert set(result.timings_ms) == {"encode", "search", "fuse", "fetch"}
    assert all(spent >= 0 for spent in result.timings_ms.values())
