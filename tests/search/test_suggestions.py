"""Suggestions by letters, by sound and by near words; and the file that holds them."""

from __future__ import annotations

import random
import unicodedata

import pytest

from twinlens.catalog.errors import StoreCorrupt, StoreError
from twinlens.search import suggestion_file
from twinlens.search.suggestion_file import write_suggestions
from twinlens.search.suggestions import Suggestions, _Mistakes

VIDEOS = [
    {"video_id": "a", "title": "Café at night", "view_count": 5, "thumbnail_file": "x"},
    {"video_id": "b", "title": "A night at the Opera", "view_count": 50},
    {"video_id": "c", "title": "Night market in Colombo", "view_count": 1},
    {"video_id": "d", "title": "Night bus", "view_count": 9, "channel": "Night Owls"},
    {"video_id": "e", "title": "කොහොමද කට්ටිය", "channel": "Night Owls", "tags": ["nightlife"]},
    {"video_id": "f", "title": "東京の夜景を歩く", "channel": "Cricket Island"},
    {"video_id": "g", "title": "한국 여행", "tags": ["Cricket", "cricket"]},
    {"video_id": "h", "title": "Learn C++ in a day", "tags": ["Cricket"]},
    {"video_id": "i", "title": "Elephants of the north", "view_count": 3},
    {"video_id": "j", "title": "night bus", "view_count": 2},
    {"video_id": "k"},
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("suggestions") / "suggestions.safetensors"
    write_suggestions(path, VIDEOS)
    return path


@pytest.fixture(scope="module")
def suggestions(made):
    return Suggestions(made)


def texts(suggestions, typed, limit=8):
    return [one.text for one in suggestions.suggest(typed, limit=limit).suggestions]


def test_the_start_of_a_title_counts_most_then_its_views(suggestions):
    found = suggestions.suggest("NIGHT", limit=8).suggestions
    assert [(one.kind, one.text) for one in found] == [
        ("channel", "Night Owls"),
        ("tag", "nightlife"),
        ("title", "Night bus"),  # with 9 views, and not the one with 2
        ("title", "Night market in Colombo"),
        ("title", "A night at the Opera"),  # the most viewed, which does not begin with it
        ("title", "Café at night"),
    ]
    assert found[0] == ("channel", "Night Owls", None, False, 2)
    assert found[2] == ("title", "Night bus", "d", False, None)
    assert found[5].has_thumbnail


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("cafe", ["Café at night"]),
        ("CAFÉ AT N", ["Café at night"]),
        ("night m", ["Night market in Colombo"]),
        ("colombo night", ["Night market in Colombo"]),  # in another order
        ("night ", ["Night Owls", "Night bus", "Night market in Colombo"]),  # a whole word
        ("කොහො", ["කොහොමද කට්ටිය"]),
        ("කොහෙ", ["කොහොමද කට්ටිය"]),  # ො half typed
        ("කට්", ["කොහොමද කට්ටිය"]),
        ("夜景", ["東京の夜景を歩く"]),  # within what has no spaces
        ("하", ["한국 여행"]),
        ("여해", ["한국 여행"]),  # a syllable half typed
        ("c++", ["Learn C++ in a day"]),
        ("kohoma", ["කොහොමද කට්ටිය"]),  # by its sound
        ("kohomadha katti", ["කොහොමද කට්ටිය"]),
        ("එලිෆන්ට්ස්", ["Elephants of the north"]),
        ("?!", []),
        ("", []),
    ],
)
def test_found_by_what_is_typed(suggestions, typed, found):
    assert texts(suggestions, typed)[: max(1, len(found))] == found


def test_few_places_are_for_titles_and_names_have_what_titles_leave(suggestions):
    assert texts(suggestions, "night", limit=3) == [
        "Night bus",
        "Night market in Colombo",
        "A night at the Opera",
    ]
    assert texts(suggestions, "night", limit=4)[:2] == ["Night Owls", "nightlife"]
    # Of spellings of a tag, the most frequent one, with the videos that have it spelt so.
    found = suggestions.suggest("cric", limit=4).suggestions
    assert [(one.kind, one.text, one.videos) for one in found] == [
        ("channel", "Cricket Island", 1),
        ("tag", "Cricket", 2),
    ]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("elehpants ", "elephants "),
        ("Elefants ", "elephants "),
        ("the elephnats of", "the elephants of"),
        ("nigth market ", "night market "),
        ("colonbo night", "colombo night"),
        ("kohomadha ", "කොහොමද "),
        ("night", None),
        ("nigh", None),  # it may go on
        ("kohomadh", None),  # and is found as it is
        ("xylophone ", None),
        ("bsu ", "bus "),
        ("zz ", None),
    ],
)
def test_did_you_mean_a_near_word_where_one_is_unknown(suggestions, typed, meant):
    assert suggestions.suggest(typed, limit=8).did_you_mean == meant


def test_where_nothing_is_found_what_is_meant_is_suggested(suggestions):
    assert texts(suggestions, "elehpants") == ["Elephants of the north"]


def test_mistakes_are_counted_as_by_the_table():
    def by_table(left, right):
        rows = [list(range(len(right) + 1))]
        for i, one in enumerate(left, 1):
            row = [i]
            for j, other in enumerate(right, 1):
                least = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (one != other))
                if i > 1 and j > 1 and (one, left[i - 2]) == (right[j - 2], other):
                    least = min(least, rows[-2][j - 2] + 1)
                row.append(least)
            rows.append(row)
        return rows[-1][-1]

    rng = random.Random(7)
    for _ in range(500):
        left = "".join(rng.choices("abc", k=rng.randint(1, 8)))
        right = "".join(rng.choices("abc", k=rng.randint(0, 8)))
        assert _Mistakes(left).count(right) == by_table(left, right), (left, right)


def test_what_is_found_is_what_going_through_all_titles_finds(tmp_path):
    rng = random.Random(3)
    syllables = ["ka", "ta", "මල", "ना", "é", "東"]
    words = ["".join(rng.choices(syllables, k=rng.randint(1, 3))) for _ in range(40)]
    videos = [
        {"video_id": str(n), "title": " ".join(rng.choices(words, k=4)), "view_count": n}
        for n in range(300)
    ]
    write_suggestions(tmp_path / "s", videos)
    suggestions = Suggestions(tmp_path / "s")

    def plain(text):
        folded = " ".join(suggestion_file.fold(text))
        return unicodedata.normalize("NFD", folded)

    for typed in {"k", "ka", "kat", "මල", "e", *(" ".join(rng.choices(words, k=2)) for _ in "123")}:
        best = sorted(videos, key=lambda it: -it["view_count"])
        starting = [one for one in best if plain(one["title"]).startswith(plain(typed))]
        within = [one for one in best if f" {plain(typed)}" in plain(one["title"])]
        wanted = list(dict.fromkeys(one["title"] for one in [*starting, *within]))[:10]
        assert texts(suggestions, typed, limit=10)[: len(wanted)] == wanted, typed


def test_long_titles_that_begin_alike_are_told_apart(tmp_path):
    begun = "the same long beginning of a title that goes on and on and on "
    videos = [{"video_id": str(n), "title": f"{begun}{n:03}"} for n in range(30)]
    write_suggestions(tmp_path / "s", videos)
    assert texts(Suggestions(tmp_path / "s"), f"{begun}017") == [f"{begun}017"]


def test_a_catalogue_without_titles(tmp_path):
    write_suggestions(tmp_path / "s", [{"video_id": "a"}])
    assert Suggestions(tmp_path / "s").suggest("a", limit=8) == ([], None)


def test_a_file_that_is_none_says_so_in_a_sentence(made, tmp_path):
    whole = made.read_bytes()
    for damaged in (b"", b"{}", whole[:100], whole[: len(whole) // 2], b"\xff" * 100):
        (tmp_path / "s").write_bytes(damaged)
        with pytest.raises(StoreCorrupt, match=r"/s can't be read: "):
            Suggestions(tmp_path / "s")
    (tmp_path / "s").write_bytes(whole.replace(b'"format":"1"', b'"format":"9"'))
    with pytest.raises(StoreError, match="format 9"):
        Suggestions(tmp_path / "s")
