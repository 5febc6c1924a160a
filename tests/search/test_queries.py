"""Queries of many callers at once, by ``QueryEncoder`` around small encoders that can be held."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes import HeldEncoder, WordEncoder
from twinlens.catalog.errors import UnencodableItems
from twinlens.catalog.timing import measure_work
from twinlens.encoders.load import load_title_encoder
from twinlens.search.queries import (
    MAX_BATCH,
    MAX_CACHED_CHARACTERS,
    MAX_PADDED_CHARACTERS,
    MOST_GATHERING_S,
    QueryEncoder,
)


class Panic(BaseException):
    """As those of Rust's libraries."""


BAD = {"poison": RuntimeError, "panic": Panic}


@pytest.fixture
def inner():
    return HeldEncoder(BAD)


@pytest.fixture
def queries(inner):
    encoder = QueryEncoder(inner, cache_size=100)
    yield encoder
    inner.go.set()
    encoder.close()


@pytest.fixture
def callers():
    with ThreadPoolExecutor(64) as callers:
        yield callers


def ask_while_held(inner, queries, callers, texts):
    """One call per text, all of them waiting while ``first`` is encoded; then let go."""
    while inner.started.acquire(blocking=False):  # of batches before
        pass
    inner.go.clear()
    first = callers.submit(queries.encode_queries, ["first"])
    assert inner.started.acquire(timeout=20)
    calls = []
    for text in texts:
        known = text in queries._known
        before = len(queries._asked)
        calls.append(callers.submit(queries.encode_queries, [text]))
        while not known and len(queries._asked) == before:  # asked, in this order
            time.sleep(0.001)
    inner.go.set()
    wait([first, *calls], timeout=20)
    return calls


def test_an_idle_encoder_encodes_at_once_what_it_is_asked(queries, inner):
    rows = queries.encode_queries(["a cat", "a dog"])
    np.testing.assert_array_equal(rows, WordEncoder().encode(["a cat", "a dog"]))
    assert sorted(text for batch in inner.batches for text in batch) == ["a cat", "a dog"]
    assert queries.encode_queries([]).shape == (0, inner.dim)


def test_what_is_asked_meanwhile_is_encoded_together(queries, inner, callers):
    texts = [f"word{number}" for number in range(MAX_BATCH + 3)]
    calls = ask_while_held(inner, queries, callers, texts)
    assert inner.batches == [["first"], texts[:MAX_BATCH], texts[MAX_BATCH:]]
    for text, call in zip(texts, calls, strict=True):
        np.testing.assert_array_equal(call.result(), WordEncoder().encode([text]))


def test_after_a_crowd_it_waits_a_little_for_the_crowd_and_else_not_at_all(
    queries, inner, callers, monkeypatch
):
    slept = []
    monkeypatch.setattr("twinlens.search.queries.time.sleep", slept.append)
    for number in range(5):
        queries.encode_queries([f"alone{number}"])
    assert slept == []
    monkeypatch.undo()
    ask_while_held(inner, queries, callers, ["a", "b", "c"])
    assert inner.batches[-1] == ["a", "b", "c"]
    calls = [callers.submit(queries.encode_queries, [text]) for text in ("d", "e", "f")]
    wait(calls, timeout=20)
    time.sleep(2 * MOST_GATHERING_S)
    monkeypatch.setattr("twinlens.search.queries.time.sleep", slept.append)
    queries.encode_queries(["long after"])
    assert slept == []


def test_a_long_text_does_not_make_short_ones_wait(queries, inner, callers):
    long = "x" * (MAX_PADDED_CHARACTERS // 2 + 1)
    huge = "y" * (10 * MAX_PADDED_CHARACTERS)
    ask_while_held(inner, queries, callers, ["a", "b", long, "c", huge, "d"])
    assert inner.batches[1:] == [["a", "b"], [long], ["c"], [huge], ["d"]]


def test_an_error_reaches_the_caller_whose_text_it_is_and_nobody_else(queries, inner, callers):
    good, unencodable, poisoned, also_good = ask_while_held(
        inner, queries, callers, ["cat", "", "poison", "dog"]
    )
    with pytest.raises(UnencodableItems) as caught:
        unencodable.result()
    assert caught.value.rows == (0,)
    with pytest.raises(RuntimeError, match="poison"):
        poisoned.result()
    assert good.result().shape == also_good.result().shape == (1, inner.dim)


def test_rows_that_cant_be_encoded_are_numbered_as_the_caller_gave_them(queries):
    with pytest.raises(UnencodableItems) as caught:
        queries.encode_queries(["cat", "", "dog", " "])
    assert caught.value.rows == (1, 3)


@pytest.mark.parametrize("text", BAD)
def test_a_failure_or_a_panic_is_not_remembered_and_leaves_nobody_waiting(queries, inner, text):
    for _ in range(2):
        with pytest.raises(BAD[text], match=text):
            queries.encode_queries([text])
    assert inner.batches.count([text]) == 4  # together, and on its own, twice
    assert queries.encode_queries(["cat"]).shape == (1, inner.dim)


def test_a_text_asked_by_several_at_once_is_encoded_once(queries, inner, callers):
    ask_while_held(inner, queries, callers, ["cat", "cat", "first", "cat"])
    assert inner.batches == [["first"], ["cat"]]


LONG = "x" * (MAX_CACHED_CHARACTERS + 1)


@pytest.mark.parametrize(
    ("cache_size", "asked", "batches"),
    [
        (100, [["cat", "cat"], ["cat"]], ["cat"]),
        # The texts asked last are remembered, and no long ones.
        (
            2,
            [[one] for one in ["a", "b", "a", "c", "a", "b", LONG, LONG]],
            ["a", "b", "c", "b", LONG, LONG],
        ),
        (0, [["cat"], ["cat"]], ["cat", "cat"]),
    ],
)
def test_a_text_asked_again_is_answered_from_memory(inner, cache_size, asked, batches):
    queries = QueryEncoder(inner, cache_size=cache_size)
    for texts in asked:
        rows = queries.encode_queries(texts)
        np.testing.assert_array_equal(rows, WordEncoder().encode(texts))
        rows[:] = 0  # the caller's own
    assert inner.batches == [[text] for text in batches]
    queries.close()


def test_what_encoding_took_is_work_of_who_asked_and_what_is_remembered_is_none(queries, inner):
    def slowly(texts):
        began = time.thread_time()
        while time.thread_time() - began < 0.05:
            pass
        return encode(texts)

    encode, inner.encode_queries = inner.encode_queries, slowly
    before = measure_work()
    queries.encode_queries(["one", "two"])
    assert measure_work() - before >= 0.05
    before, worked = measure_work(), time.thread_time()
    queries.encode_queries(["one"])
    assert measure_work() - before < time.thread_time() - worked + 0.01


def test_titles_go_straight_to_the_encoder_within(queries, inner):
    np.testing.assert_array_equal(queries.encode(["cat"]), inner.encode(["cat"]))
    assert inner.batches == []
    for part in ("name", "dim", "fingerprint"):
        assert getattr(queries, part) == getattr(inner, part)


def test_closing_answers_what_was_asked_and_then_refuses(queries, inner, callers):
    inner.go.clear()
    calls = [callers.submit(queries.encode_queries, [text]) for text in ("a", "b", "c")]
    while len(queries._known) < 3:
        time.sleep(0.001)
    closing = callers.submit(queries.close)
    inner.go.set()
    closing.result(20)
    assert all(call.result(20).shape == (1, inner.dim) for call in calls)
    for _ in range(2):  # and nobody waits for an answer that never comes
        with pytest.raises(RuntimeError, match="shutdown"):
            queries.encode_queries(["d"])


@settings(max_examples=25, deadline=None)
@given(calls=st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=5), max_size=20))
def test_many_callers_get_what_each_asked_for(calls):
    queries = QueryEncoder(WordEncoder(), cache_size=3)
    with ThreadPoolExecutor(8) as callers:
        found = list(callers.map(queries.encode_queries, calls))
    queries.close()
    for texts, rows in zip(calls, found, strict=True):
        np.testing.assert_array_equal(rows, WordEncoder().encode(texts))


def test_a_real_model_gives_the_same_vectors_in_a_crowd():
    encoder = load_title_encoder("packaged:use-m3", threads=1)
    queries = QueryEncoder(encoder, cache_size=0)
    texts = [f"cricket highlights {number}" + " of the day" * (number % 7) for number in range(24)]
    with ThreadPoolExecutor(24) as callers:
        found = list(callers.map(lambda text: queries.encode_queries([text])[0], texts))
    queries.close()
    np.testing.assert_allclose(np.stack(found), encoder.encode_queries(texts), atol=1e-5)
