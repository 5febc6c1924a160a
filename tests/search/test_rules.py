"""``rules.toml``: what it says of a search, when it is read again, and what is wrong with it."""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime

import pytest

from twinlens.catalog.fields import FIELDS
from twinlens.search.request import MultiSearchRequest, RecommendationRequest, SearchRequest
from twinlens.search.rules import MOST_TEXTS, Guidance, Rules, RulesFile, RulesInvalid
from twinlens.search.steering import Boost, Ruling, Steering

RULES = """
[[synonyms]]
words = ["tv", "Television", "රූපවාහිනිය"]

[[synonyms]]
word = "lka"
means = ["sri lanka"]

[[synonyms]]
words = ["new year", "avurudu"]
until = 2026-05-01

[[queries]]
query = ["Cricket", "ක්‍රිකට්"]
pin = ["a", "b"]
hide = ["c"]

[[queries]]
query = "cricket"
pin = ["b", "d"]
hide = ["a"]
from = 2026-12-01
until = 2027-01-01T00:00:00+05:30
"""
BEFORE = datetime(2026, 11, 30, 23, 59, tzinfo=UTC)
DURING = datetime(2026, 12, 1, tzinfo=UTC)
AFTER = datetime(2026, 12, 31, 18, 30, tzinfo=UTC)
SPRING = datetime(2026, 4, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "at", "expected"),
    [
        ("cricket", BEFORE, Ruling(("a", "b"), frozenset("c"))),
        ("  CRICKET!", AFTER, Ruling(("a", "b"), frozenset("c"))),
        ("ක්‍රිකට්", DURING, Ruling(("a", "b"), frozenset("c"))),
        ("cricket", DURING, Ruling(("b", "d"), frozenset("ac"))),
        ("cricket final", DURING, Ruling()),
        ("", DURING, Ruling()),
        ("?!", DURING, Ruling()),
        ("the TV, live", DURING, Ruling(texts=("the Television, live", "the රූපවාහිනිය, live"))),
        ("television", DURING, Ruling(texts=("tv", "රූපවාහිනිය"))),
        ("televisions", DURING, Ruling()),
        ("lka news", DURING, Ruling(texts=("sri lanka news",))),
        ("sri lanka news", DURING, Ruling()),
        ("happy New-Year", SPRING, Ruling(texts=("happy avurudu",))),
        ("happy new year", DURING, Ruling()),
    ],
)
def test_what_rules_say_of_a_text(text, at, expected):
    assert Rules.parse(RULES).judge(text, at) == expected


def test_synonyms_make_few_texts_the_first_words_first():
    rules = Rules.parse('[[synonyms]]\nwords = ["a", "b", "c"]')
    assert rules.judge("a a x b", DURING).texts == ("b a x b", "c a x b", "a b x b")
    assert len(rules.judge("a " * 500, DURING).texts) == MOST_TEXTS


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("[[queries]", "not TOML"),
        ("queries = 3", "queries: Input should be a valid list"),
        ("[[querys]]", "querys: Extra inputs"),
        ('[[queries]]\nquery = "a"', "queries 1: it neither pins nor hides"),
        ('[[queries]]\nquery = "a"\npin = "b"', "queries 1 pin: Input should be a valid list"),
        ('[[queries]]\nquery = "a"\npin = [3]', "queries 1 pin 1: Input should be a valid string"),
        ('[[queries]]\nquery = "a"\npin = ["b"]\nhide = ["b"]', "both pinned and hidden"),
        ('[[queries]]\nquery = "?!"\npin = ["b"]', r"queries 1 query 1: '\?!' has no word in it"),
        ('[[queries]]\nquery = "a"\npin = ["b"]\nfrom = "soon"', "queries 1 from: write a day"),
        ('[[queries]]\nquery = "a"\npin = ["b"]\nfrom = 2026-01-01T10:00:00', "has no offset"),
        (
            '[[queries]]\nquery = "a"\npin = ["b"]\nfrom = 2026-01-02\nuntil = 2026-01-02',
            "it ends before",
        ),
        ('[[synonyms]]\nwords = ["a"]', "synonyms 1 words: List should have at least 2"),
        ('[[synonyms]]\nword = "a"', "give either words, or word and means"),
        ('[[synonyms]]\nwords = ["a", "b"]\nmeans = ["c"]', "give either words, or word and means"),
        ('[[synonyms]]\nwords = ["a", "b"]\n[[synonyms]]\nwords = [1, 2]', "synonyms 2 words 1"),
        ("a = " + "[" * 5000, "not TOML"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence_with_its_place(written, said):
    with pytest.raises(RulesInvalid, match=said) as caught:
        Rules.parse(written)
    assert "\n" not in str(caught.value)


def write(path, text, *, at=[0]) -> None:  # noqa: B006 - a clock that never stands still
    at[0] += 1
    path.write_text(text, "utf-8")
    os.utime(path, ns=(at[0], at[0]))


def hidden(file: RulesFile) -> frozenset[str]:
    return file.read().judge("x", DURING).hides


def hide(video_id: str) -> str:
    return f'[[queries]]\nquery = "x"\nhide = ["{video_id}"]'


def test_a_file_is_read_again_when_it_changes_and_a_damaged_one_changes_nothing(tmp_path, caplog):
    path = tmp_path / "rules.toml"
    file = RulesFile(path)
    file.load()
    assert hidden(file) == frozenset()
    write(path, "\ufeff" + hide("a"))
    assert hidden(file) == {"a"}
    caplog.set_level(logging.ERROR)
    for damaged in (hide("b") + "]", "\x00", "x" * 5_000_000):
        write(path, damaged)
        assert hidden(file) == hidden(file) == {"a"}
        assert file.problem.startswith("rules.toml: ")
        [record] = caplog.records
        assert file.problem in record.getMessage()
        caplog.clear()
    path.write_bytes(b"\xff\xfe")
    assert hidden(file) == {"a"}
    assert "not UTF-8" in file.problem
    write(path, hide("c"))
    assert hidden(file) == {"c"}
    assert file.problem is None
    path.unlink()
    assert hidden(file) == frozenset()
    path.mkdir()
    assert hidden(file) == frozenset()
    assert "can't be read" in file.problem
    with pytest.raises(RulesInvalid, match=r"rules\.toml can't be read"):
        RulesFile(path).load()


def test_a_version_changes_with_the_file_and_where_a_rule_begins_or_ends():
    rules = Rules.parse(RULES)
    moments = (SPRING, BEFORE, DURING, AFTER)
    assert len({rules.name_version(at) for at in moments}) == len(moments)
    assert rules.name_version(BEFORE) == rules.name_version(datetime(2026, 6, 1, tzinfo=UTC))
    assert Rules().name_version(BEFORE) == ""
    other = Rules.parse(RULES.replace('hide = ["c"]', 'hide = ["z"]'))
    assert rules.name_version(BEFORE) != other.name_version(BEFORE)


@pytest.fixture
def guidance(tmp_path):
    path = tmp_path / "rules.toml"
    path.write_text(RULES, "utf-8")
    boosts = (Boost(field="view_count"), Boost(field="gone"))
    return Guidance(RulesFile(path), boosts, lambda: BEFORE)


def test_boosts_of_the_owner_are_for_requests_without_their_own(guidance):
    def boosts(request):
        return guidance.guide(request, FIELDS).steering.boosts

    own = (Boost(field="duration_s"),)
    assert boosts(SearchRequest(text="x")) == guidance.boosts[:1]
    assert boosts(SearchRequest(text="x", steering=Steering(boosts=()))) == ()
    assert boosts(RecommendationRequest(liked=["a"], steering=Steering(boosts=own))) == own
    assert boosts(RecommendationRequest(liked=["a"])) == guidance.boosts[:1]


def test_of_several_searches_the_pins_of_all_come_first_and_the_hidden_of_any_in_none(guidance):
    request = MultiSearchRequest(
        searches=[
            SearchRequest(text="cricket"),
            SearchRequest(text="tv"),
            SearchRequest(video_id="v"),
        ],
        shares=[1, 1, 1],
    )
    guided = guidance.guide(request, FIELDS)
    assert (guided.ruling.pins, guided.ruling.hides) == (("a", "b"), {"c"})
    assert [one.ruling.pins for one in guided.searches] == [()] * 3
    assert guided.searches[1].ruling.texts == ("Television", "රූපවාහිනිය")


def test_a_synonym_finds_what_the_text_itself_does_not(searcher):
    ruling = Ruling(texts=("kitchen", "kitchen"))
    request = SearchRequest(text="qqqqqq", limit=10, expand=0, ruling=ruling)
    result = searcher.search(request)
    assert {hit.video_id.split("-")[0] for hit in result.hits} == {"kitchen"}
    assert result.words_coverage == 1
    assert result.also_asked == ruling.texts
    plain = searcher.search(SearchRequest(text="kitchen", limit=10, expand=0))
    assert [hit.video_id for hit in result.hits] == [hit.video_id for hit in plain.hits]
