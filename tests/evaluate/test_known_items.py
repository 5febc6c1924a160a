"""Queries made from titles: as a person would type them, the same from the same seed."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from twinlens.catalog.errors import UsageError
from twinlens.catalog.video import Video
from twinlens.evaluate.known_items import (
    DAMAGES,
    LEAST_TITLES,
    damage_title,
    find_script,
    make_known_item_tasks,
    normalize,
    slip,
    split_typed_words,
)
from twinlens.evaluate.tasks import Corpus

TITLES = [
    "Rising Above the Noise | Eva-Lution Chats",
    "සේල මුතුමාල අන්දා යාවි කරකාර බන්දා ❤️💙 #tvderana",
    "වவුනියා කැළණිය ක්‍රීඩා සාමාන්‍ය පෙළ 2025",
    "வவுனியா செட்டிக்குளம் பகுதியிலிருந்து 87 கைக்குண்டுகள் கைப்பற்றப்பட்ட சம்பவம்",
    "मुफ़्त सामग्री सीखने वाले विद्यार्थी कक्षा",
]
WORDS = sorted({word for title in TITLES for word in title.split()})

titles = st.lists(st.sampled_from(WORDS), min_size=1, max_size=14).map(" ".join)
seeds = st.integers(0, 2**32)


def _rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@given(titles, seeds, st.sampled_from(sorted(DAMAGES)))
def test_a_damaged_title_is_another_text_in_its_script(title: str, seed: int, kind: str) -> None:
    script = find_script(title)
    if script is None:
        return
    found = damage_title(kind, title, script, _rng(seed))
    assert found == damage_title(kind, title, script, _rng(seed))
    if found is None:
        return
    assert normalize(found.text) != normalize(title)
    assert find_script(found.text) is not None
    assert any(find_script(word) == script for word in found.text.split())
    assert set(found.meant) <= set(split_typed_words(title))


@given(titles, seeds)
def test_words_are_kept_whole_unless_they_are_misspelt(title: str, seed: int) -> None:
    script = find_script(title) or "LATIN"
    words = split_typed_words(title)
    swapped = damage_title("words swapped", title, script, _rng(seed))
    assert swapped is None or sorted(swapped.text.split()) == sorted(words)
    dropped = damage_title("words dropped", title, script, _rng(seed))
    if dropped is not None:
        rest = iter(words)
        assert all(word in rest for word in dropped.text.split()), "the order has changed"
        assert 2 <= len(dropped.text.split()) < len(words)
    part = damage_title("in part", title, script, _rng(seed))
    if part is not None:
        assert f" {part.text} " in f" {' '.join(words)} "
        assert 2 <= len(part.text.split()) <= 4


@given(st.sampled_from(WORDS), seeds)
def test_a_slip_moves_whole_clusters_and_parts_no_sign_from_its_letter(
    word: str, seed: int
) -> None:
    slipped = slip(word, _rng(seed))
    if slipped is None:
        return
    assert normalize(slipped) != normalize(word)
    clusters = regex.findall(r"\X", slipped)
    assert clusters[0] == regex.findall(r"\X", word)[0]
    assert not any(unicodedata.category(cluster[0]).startswith("M") for cluster in clusters)
    # One slip: at most two neighbours differ, and the length by one.
    assert abs(len(clusters) - len(regex.findall(r"\X", word))) <= 1


@given(st.text(max_size=40), seeds, st.sampled_from(sorted(DAMAGES)))
def test_any_text_is_taken(title: str, seed: int, kind: str) -> None:
    script = find_script(title)
    if script is not None:
        found = damage_title(kind, title, script, _rng(seed))
        assert found is None or found.text.strip()


def test_numbers_and_short_words_are_not_misspelt() -> None:
    for word in ("2025", "the", "සහ", "10th", "#"):
        assert all(slip(word, _rng(seed)) is None for seed in range(20))


def test_every_kind_of_slip_is_made() -> None:
    slips = {slip("කැළණිය", _rng(seed)) for seed in range(200)}
    assert {"කැණිය", "කැළළණිය", "කැණිළය", "කැලණිය"} <= slips
    assert {"kandt", "kanyd", "kadny", "kandyy", "kndy"} <= {
        slip("kandy", _rng(seed)) for seed in range(400)
    }


@pytest.mark.parametrize(
    ("title", "script"),
    [
        ("Hello world", "LATIN"),
        ("ගීතය official video with a long English rest", "SINHALA"),
        ("News 1st: பிரதான செய்திகள்", "TAMIL"),
        ("2025 🔴 | 12", None),
        ("", None),
    ],
)
def test_a_script_is_that_of_the_words_that_are_hard_to_find(
    title: str, script: str | None
) -> None:
    assert find_script(title) == script


def _corpus(titles: list[str]) -> Corpus:
    videos = [Video(video_id=f"v{at}", title=title) for at, title in enumerate(titles)]
    return Corpus("small", videos)


def test_known_items_are_drawn_by_seed_and_point_to_one_title() -> None:
    syllables = ("sun", "mo", "ri", "da", "pe", "lu", "gan", "wi", "ha", "ko")
    names = [f"{first}{second}ka" for first in syllables for second in "aeiou"]
    titles = [f"Journey to {name} with two friends" for name in names]
    twins = ["Journey to nowhere at all", "JOURNEY to  nowhere at all"]
    corpus = _corpus([*titles, *twins, *(f"සිංහල ගීත {name}" for name in names)])
    tasks = make_known_item_tasks(corpus, limit=30, seed=3)
    assert {task.name.split(", ", 1)[1] for task in tasks} >= {
        f"{script}, {kind}" for script in ("Latin", "Sinhala") for kind in ("misspelt", "in part")
    }
    for task in tasks:
        assert len(task.queries) <= 30
        for video_id, query in task.queries.items():
            assert task.qrels[video_id] == {video_id: 1}
            asked = set(normalize(query.text).split())
            held = {one.video_id: set(normalize(one.title).split()) for one in corpus.videos}
            assert [one for one, of in held.items() if asked <= of] in ([], [video_id])
            assert video_id not in ("v50", "v51"), "a title that two videos have was asked for"
    again = make_known_item_tasks(corpus, limit=30, seed=3)
    assert [task.queries for task in again] == [task.queries for task in tasks]
    other = make_known_item_tasks(corpus, limit=30, seed=4)
    assert [task.queries for task in other] != [task.queries for task in tasks]
    few = _corpus(titles[: LEAST_TITLES - 1])
    with pytest.raises(UsageError, match="too few titles"):
        make_known_item_tasks(few, limit=30, seed=0)
