"""What a searched text marks in titles: the right words, in any script, and never half a letter."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from twinlens.encoders.words import fold_words, weigh_query
from twinlens.search.highlighting import Highlighter

# Letters with signs, conjuncts, joiners, accents apart, emoji of several code points, line ends.
PIECES = [
    "cricket", "ක්\u200dරිකට්", "ශ්\u200dරී", "ලංකාවේ", "தமிழ்", "தமிழில்", "क्षि", "한국", "각", "ᄀ\u200cᅡ",
    "料理", "e\u0301", "é", "ﬁ", "İ", "ß", "ǅ", "½", "1", "a", "B",
    "👍🏽", "👩\u200d👩\u200d👧", "🇱🇰", "\u200d", "\u200b", "\u00ad", "\u0dca", "\u0301",
    "\u0300\u0327", "\r\n", "\n", " ", "-", "#",
]  # fmt: skip
text = st.one_of(st.text(max_size=30), st.lists(st.sampled_from(PIECES), max_size=12).map("".join))


def marked(query: str, title: str) -> str:
    """The title with brackets about what is marked."""
    parts = Highlighter(query).mark(title)
    return "".join(f"[{part.text}]" if part.matched else part.text for part in parts)


@pytest.mark.parametrize(
    ("query", "title", "expected"),
    [
        ("kitchen", "The KITCHEN film", "The [KITCHEN] film"),
        ("kitchn flm", "Kitchen Film", "[Kitchen] Film"),
        ("cafe", "Café, cafe\u0301s, CAFÉ", "[Café], [cafe\u0301]s, [CAFÉ]"),
        ("cricket", "#SriLankaCricketLive", "#SriLanka[Cricket]Live"),
        ("ලංකා ක්‍රිකට්", "ශ්‍රී ලංකාවේ ක්‍රිකට් තරගය", "ශ්‍රී [ලංකා]වේ [ක්‍රිකට්] තරගය"),
        ("ක්රිකට්", "ක්‍රිකට්", "[ක්‍රිකට්]"),
        ("தமிழ்", "தமிழ் பாடல், தமிழில்", "[தமிழ்] பாடல், [தமிழி]ல்"),
        ("料理", "今日の料理番組、料理", "今日の[料理]番組、[料理]"),
        ("strasse", "Straße", "[Straße]"),
        ("👍", "yes 👍🏽 👍", "yes [👍🏽] [👍]"),
        ("in", "in the kitchen", "[in] the kitchen"),
        ("sri lanka", "SriLanka", "[SriLanka]"),
        ("<b>", "<b>b</b> &amp;", "<[b]>[b]</[b]> &amp;"),
        ("cooking", "Looking for cooking", "Looking for [cooking]"),
        ("ක", "ක්‍රිකට්", "ක්‍රිකට්"),
        ("?!", "what?!", "what?!"),
        ("kohomada", "ඔයාට කොහොමද", "ඔයාට [කොහොමද]"),
        ("kohomadha oya", "කොහොමද Oklahoma", "[කොහොමද] Oklahoma"),
        ("lanka", "ශ්‍රී ලංකාවේ", "ශ්‍රී [ලංකාවේ]"),
        ("tamizh padal", "தமிழ் பாடல்", "[தமிழ்] [பாடல்]"),
        ("කොහොමද", "Kohomada song", "[Kohomada] song"),
        ("oba", "අපි ඔබ", "අපි [ඔබ]"),
        ("anything", "", ""),
    ],
)
def test_what_is_marked(query, title, expected):
    assert marked(query, title) == expected


@given(text, text)
def test_the_parts_are_the_title_and_cut_no_letter(query, title):
    parts = Highlighter(query).mark(title)
    assert "".join(part.text for part in parts) == title
    assert all(part.text for part in parts)
    assert all(one.matched != other.matched for one, other in pairwise(parts))
    ends = {match.end() for match in regex.finditer(r"\X", title)} | {0}
    place = 0
    for part in parts:
        place += len(part.text)
        assert place in ends
        assert not part.text.endswith("\u200d") or place == len(title)


@given(text)
def test_a_title_that_is_asked_for_is_marked_wherever_it_has_words(title):
    parts = Highlighter(title).mark(title)
    unmarked = [part.text for part in parts if not part.matched]
    assert not [word for part in unmarked for word in fold_words(part)]


@given(st.lists(st.sampled_from(["cricket", "ලංකා", "தமிழ்", "Café", "xyz", "12"]), max_size=4))
def test_words_are_folded_as_the_ranking_folds_them(words):
    """Each folded word is one that the ranking has a weight for."""
    title = " ".join(words)
    for word in fold_words(title):
        found = weigh_query(word.folded)
        [whole] = found.indices[np.isclose(found.values, 1.0)]
        assert whole in weigh_query(title).indices
