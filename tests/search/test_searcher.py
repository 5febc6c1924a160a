from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.backend.catalogue import ODD_ID, picture_bytes
from tests.fakes import MemoryReader
from twinlens.catalog.errors import PictureRejected, UnencodableItems
from twinlens.encoders.lenses import THUMBNAIL, TITLE, WORDS, own_lenses
from twinlens.encoders.words import query_words, sparse_words
from twinlens.search.cursor import CursorExpired, CursorInvalid
from twinlens.search.request import SearchRequest, VideoNotFound
from twinlens.search.searcher import BORROWED_WEIGHT, Searcher
from twinlens.stores.base import StoredVideo
from twinlens.stores.filters import And, AnyOf, Range


def ids(searcher: Searcher, **request) -> list[str]:
    return [hit.video_id for hit in searcher.search(SearchRequest(**request)).hits]


def asked(reader: MemoryReader) -> list[list[str]]:
    return [[query.vector_name for query in queries] for queries in reader.searches]


def test_words_find_videos_of_those_words(searcher):
    assert all(one.startswith("cricket") for one in ids(searcher, text="cricket film", limit=10))


def test_a_picture_finds_its_like_by_the_thumbnail_alone(searcher, reader, red_picture):
    result = searcher.search(SearchRequest(picture=red_picture, limit=3))
    assert result.hits[0].video_id == "kitchen-4"
    assert result.hits[0].sources[THUMBNAIL].score == pytest.approx(1)
    assert asked(reader) == [[THUMBNAIL]]


def test_a_video_asks_all_of_its_vectors_in_one_call_and_is_left_out(searcher, reader):
    found = ids(searcher, video_id="beach-3", limit=100)
    assert asked(reader) == [[TITLE, THUMBNAIL, WORDS]]
    assert "beach-3" not in found
    assert len(found) == 30
    assert all(one.startswith("beach") for one in found[:9])


def test_the_window_stays_full_when_the_video_is_left_out_of_it(searcher):
    result = searcher.search(SearchRequest(video_id="beach-3", window=5, limit=100))
    ranks = {name: [hit.sources[name].rank for hit in result.hits if name in hit.sources]
             for name in (TITLE, THUMBNAIL, WORDS)}  # fmt: skip
    assert sorted(ranks[TITLE]) == sorted(ranks[THUMBNAIL]) == [1, 2, 3, 4, 5]


def test_text_and_picture_ask_every_vector_in_one_call(searcher, reader, red_picture):
    found = ids(searcher, text="film number 7", picture=red_picture, limit=5)
    assert asked(reader) == [[TITLE, THUMBNAIL, WORDS]]
    assert "kitchen-7" in found


def test_several_sources_of_one_lens_meet_in_the_middle(searcher, reader, catalogue):
    searcher.search(SearchRequest(text="cricket", video_id="beach-1"))
    titles = catalogue.titles.encode(["cricket", "beach film number 1"])
    middle = titles.sum(axis=0)
    query = reader.searches[0][0]
    np.testing.assert_allclose(query.vector, middle / np.linalg.norm(middle), rtol=1e-5)
    assert query.vector.dtype == np.float32


def test_a_video_without_a_thumbnail_is_asked_by_its_title(searcher, reader):
    ids(searcher, video_id=ODD_ID)
    assert asked(reader) == [[TITLE, WORDS]]


def test_text_and_a_video_are_asked_by_the_words_of_both(searcher, reader):
    ids(searcher, text="cricket", video_id="beach-1")
    words = next(query for query in reader.searches[0] if query.vector_name is WORDS).vector
    both = query_words("cricket beach film number 1")
    assert all(map(np.array_equal, words, both))


def test_text_without_words_asks_the_title_alone(searcher, reader):
    ids(searcher, text="?!", expand=0)
    assert asked(reader) == [[TITLE]]


def test_words_count_as_far_as_their_best_title_has_them(searcher):
    whole = searcher.search(SearchRequest(text="kitchen film number 7", expand=0))
    assert whole.words_coverage == 1
    some = searcher.search(SearchRequest(text="kitchen qqqqqqqqqq", expand=0))
    assert 0.3 < some.words_coverage < 0.8
    hit = some.hits[0]
    expected = 1 / (5 + hit.sources[TITLE].rank)
    expected += 5 * some.words_coverage / (5 + hit.sources[WORDS].rank)
    assert hit.score == pytest.approx(expected)
    assert searcher.search(SearchRequest(text="?!")).words_coverage is None


def test_words_that_no_title_has_count_nothing(searcher):
    none = searcher.search(SearchRequest(text="qqqqqq", expand=0))
    assert none.words_coverage == 0
    assert all(WORDS not in hit.sources for hit in none.hits)


def test_a_misspelt_name_is_found_by_its_words(searcher):
    [hit] = searcher.search(SearchRequest(text="kitchn film nmber 7", limit=1, expand=0)).hits
    assert hit.video_id == "kitchen-7"
    assert hit.sources[WORDS].rank == 1


# ---- borrowed thumbnails


def test_text_alone_borrows_the_thumbnails_of_its_best_titles(searcher, reader, catalogue):
    result = searcher.search(SearchRequest(text="kitchen film", expand=2))
    assert asked(reader) == [[TITLE, WORDS], [THUMBNAIL]]
    best = ids(searcher, text="kitchen film", expand=0)[:2]
    assert list(result.borrowed_from) == best
    stored = {one.video_id: one for one in catalogue.stored()}
    middle = sum(stored[one].vectors[THUMBNAIL] for one in best)
    np.testing.assert_allclose(
        reader.searches[1][0].vector, middle / np.linalg.norm(middle), rtol=1e-5
    )


def test_a_borrowed_list_counts_for_less(searcher):
    hit = searcher.search(SearchRequest(text="kitchen film")).hits[0]
    expected = 1 / (5 + hit.sources[TITLE].rank) + 5 / (5 + hit.sources[WORDS].rank)
    expected += BORROWED_WEIGHT / (5 + hit.sources[THUMBNAIL].rank)
    assert hit.score == pytest.approx(expected)


def test_expand_0_asks_the_title_and_its_words_only(searcher, reader):
    result = searcher.search(SearchRequest(text="kitchen", expand=0))
    assert asked(reader) == [[TITLE, WORDS]]
    assert list(result.borrowed_from) == []


def test_title_hits_without_thumbnails_lend_none(searcher, reader):
    result = searcher.search(SearchRequest(text="ක්‍රිකට්", expand=1))
    assert result.hits[0].video_id == ODD_ID
    assert asked(reader) == [[TITLE, WORDS]]


def test_nothing_is_borrowed_where_a_picture_is_given(searcher, reader, red_picture):
    assert not searcher.search(SearchRequest(text="beach", picture=red_picture)).borrowed_from


# ---- weights, filters


def test_weight_0_leaves_a_vector_unasked(searcher, reader):
    ids(searcher, video_id="beach-3", weights={TITLE: 0.0, WORDS: 0.0})
    ids(searcher, video_id="beach-3", weights={WORDS: 0.0})
    assert asked(reader) == [[THUMBNAIL], [TITLE, THUMBNAIL]]


@pytest.mark.parametrize("weights", [{TITLE: 0.0}, {WORDS: 0.0}, {TITLE: 0.0, WORDS: 0.0}])
def test_what_has_weight_0_still_lends_its_thumbnails(searcher, reader, weights):
    result = searcher.search(SearchRequest(text="beach", weights=weights))
    assert asked(reader) == [[TITLE, WORDS], [THUMBNAIL]]
    assert all(name not in hit.sources for hit in result.hits for name in weights)
    assert result.hits


def test_the_condition_holds_for_every_hit_of_either_lens(searcher):
    filter = And((AnyOf("language", ("si",)), Range(field="view_count", gte=300)))
    result = searcher.search(SearchRequest(text="beach", filter=filter, limit=100))
    assert {hit.payload["language"] for hit in result.hits} == {"si"}
    assert min(hit.payload["view_count"] for hit in result.hits) >= 300
    assert len(result.hits) == 6  # numbers 4 and 7 of three subjects


# ---- pages


@pytest.mark.parametrize("wanted", [{"text": "film"}, {"video_id": "beach-2"}])
def test_pages_together_are_the_whole_window_once(searcher, wanted):
    whole = searcher.search(SearchRequest(**wanted, limit=100))
    assert whole.next_cursor is None
    paged, cursor = [], None
    while True:
        page = searcher.search(SearchRequest(**wanted, limit=7, cursor=cursor))
        paged += page.hits
        cursor = page.next_cursor
        if cursor is None:
            break
    assert paged == whole.hits
    assert [hit.rank for hit in paged] == list(range(1, len(paged) + 1))


def test_three_rankings_that_share_nothing_are_paged_to_the_end(catalogue):
    stored = []
    title = catalogue.titles.encode(["needle"])[0]
    for number in range(15):
        thumbnail = np.eye(48, dtype=np.float32)[number]
        kinds = ({TITLE: title}, {THUMBNAIL: thumbnail}, {TITLE: -title})
        vectors = kinds[number // 5]
        words = sparse_words("needle") if number // 5 == 2 else {}
        payload = {"video_id": f"v{number:02}", "title": "needle"}
        stored.append(StoredVideo(f"v{number:02}", payload, vectors, words))
    searcher = Searcher(
        MemoryReader(stored),
        generation="g",
        lenses=own_lenses(catalogue.titles, catalogue.thumbnails),
    )
    request = SearchRequest(text="needle", picture=picture_bytes((9, 9, 9)), window=5, limit=4)
    paged = []
    while True:
        page = searcher.search(request)
        paged += [hit.video_id for hit in page.hits]
        if page.next_cursor is None:
            break
        request = replace(request, cursor=page.next_cursor)
    assert len(paged) == len(set(paged)) == 15


def test_the_size_of_a_page_may_change_on_the_way(searcher):
    first = searcher.search(SearchRequest(text="film", limit=3))
    second = searcher.search(SearchRequest(text="film", limit=9, cursor=first.next_cursor))
    assert [hit.rank for hit in second.hits] == list(range(4, 13))


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
    request = SearchRequest(text="film", limit=3)
    cursor = searcher.search(request).next_cursor
    with pytest.raises(CursorInvalid):
        searcher.search(replace(request, cursor=cursor, **other))


def test_a_cursor_belongs_to_its_generation(searcher, reader, catalogue):
    cursor = searcher.search(SearchRequest(text="film", limit=3)).next_cursor
    newer = Searcher(
        reader,
        generation="g2",
        lenses=own_lenses(catalogue.titles, catalogue.thumbnails),
    )
    with pytest.raises(CursorExpired):
        newer.search(SearchRequest(text="film", limit=3, cursor=cursor))


# ---- what can't be searched by


def test_nothing_given_is_refused(searcher):
    with pytest.raises(ValueError, match="nothing to search by"):
        searcher.search(SearchRequest())


def test_an_unknown_video_is_named(searcher):
    with pytest.raises(VideoNotFound, match="nope"):
        searcher.search(SearchRequest(video_id="nope"))


def test_bytes_that_are_no_picture_are_refused(searcher):
    with pytest.raises(PictureRejected):
        searcher.search(SearchRequest(picture=b"GIF89a not really"))


def test_opposite_directions_have_no_middle(catalogue):
    title = catalogue.titles.encode(["up"])[0]
    reader = MemoryReader([StoredVideo("down", {"video_id": "down"}, {TITLE: -title})])
    searcher = Searcher(
        reader,
        generation="g",
        lenses=own_lenses(catalogue.titles, catalogue.thumbnails),
    )
    with pytest.raises(UnencodableItems):
        searcher.search(SearchRequest(text="up", video_id="down"))


def test_an_empty_index_answers_no_hits(catalogue):
    searcher = Searcher(
        MemoryReader([]),
        generation="g",
        lenses=own_lenses(catalogue.titles, catalogue.thumbnails),
    )
    result = searcher.search(SearchRequest(text="anything"))
    assert (result.hits, result.next_cursor) == ([], None)


def test_stages_are_timed(searcher):
    timings = searcher.search(SearchRequest(text="film")).timings_ms
    assert set(timings) == {"encode", "search", "fuse", "fetch"}
    assert all(spent >= 0 for spent in timings.values())


def test_payloads_are_fetched_for_the_best_title_by_words_and_the_hits_of_the_page_only(
    searcher, reader, monkeypatch
):
    fetched = []
    original = reader.get
    monkeypatch.setattr(
        reader,
        "get",
        lambda keys, **options: fetched.append(list(keys)) or original(keys, **options),
    )
    result = searcher.search(SearchRequest(text="film", limit=4, expand=0))
    [best] = [hit.video_id for hit in result.hits if hit.sources[WORDS].rank == 1]
    assert fetched == [[best], [hit.video_id for hit in result.hits]]
