"""Titles of other scripts asked for in Latin letters, by romanisers that are not ours."""

from __future__ import annotations

import numpy as np

from twinlens.catalog.video import Video
from twinlens.evaluate.known_items import LEAST_TITLES
from twinlens.evaluate.latin_letters import (
    FAMILY,
    find_romanisers,
    make_latin_letter_tasks,
    spell_casually,
)
from twinlens.evaluate.tasks import Corpus

NAMES = [f"{first}{second}ර" for first in "කගජදනපබමලස" for second in ("මල", "රු", "ටි", "ව")]
SPELT = [find_romanisers("SINHALA")["uroman"](name) for name in NAMES]


def _corpus(titles: list[str]) -> Corpus:
    videos = [Video(video_id=f"v{at}", title=title) for at, title in enumerate(titles)]
    return Corpus("small", videos)


def test_every_script_has_three_romanisers_where_they_know_it() -> None:
    assert set(find_romanisers("SINHALA")) == {"sinhala2roman", "ITRANS", "ISO 15919", "uroman"}
    assert set(find_romanisers("TAMIL")) == {"ITRANS", "ISO 15919", "uroman"}
    assert set(find_romanisers("CYRILLIC")) == {"uroman"}
    assert find_romanisers("SINHALA")["sinhala2roman"]("කොහොමද") == "kohomada"
    assert find_romanisers("TAMIL")["uroman"]("தமிழ்") == "tamil"


def test_a_casual_spelling_differs_a_little_and_is_drawn_by_seed() -> None:
    def spell(seed: int) -> list[str]:
        rng = np.random.default_rng(seed)
        return [spell_casually("dhawasakthaala", rng) for _ in range(20)]

    assert spell(1) == spell(1) != spell(2)
    assert {"d", "w", "v", "t", "h", "a"} <= set("".join(spell(1)))
    assert spell_casually("", np.random.default_rng(0)) == ""


def test_parts_are_asked_for_in_latin_letters_by_each_romaniser() -> None:
    corpus = _corpus([f"අද {name} ගීතය song" for name in NAMES] + ["Only Latin"] * 40)
    tasks = make_latin_letter_tasks(corpus, limit=35, seed=1)
    assert [task.name for task in tasks] == [
        f"small, Sinhala, in part, by {name}, casual" for name in find_romanisers("SINHALA")
    ]
    for task in tasks:
        assert task.family == FAMILY
        assert len(task.queries) == 35
        assert all("song" not in query.text for query in task.queries.values())
        assert all(task.qrels[one] == {one: 1} for one in task.queries)
    again = make_latin_letter_tasks(corpus, limit=35, seed=1)
    assert [task.queries for task in again] == [task.queries for task in tasks]


def test_a_spelling_in_both_scripts_is_hidden_and_asked_for() -> None:
    titles = [f"{name} | {spelt} film" for name, spelt in zip(NAMES, SPELT, strict=True)]
    [*_, task] = make_latin_letter_tasks(_corpus(titles), limit=100, seed=1)
    assert task.name == "small, hidden spellings"
    assert len(task.queries) >= LEAST_TITLES
    held = {video.video_id: video.title for video in task.corpus.videos}
    for video_id, query in task.queries.items():
        at = int(video_id.removeprefix("v"))
        assert query.text == SPELT[at]
        assert held[video_id] is not None
        assert SPELT[at] not in held[video_id]
        assert NAMES[at] in held[video_id]


def test_a_catalogue_in_latin_letters_has_no_such_task() -> None:
    assert make_latin_letter_tasks(_corpus(["Only Latin"] * 40), limit=10, seed=0) == []
