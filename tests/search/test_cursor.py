from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinlens.search.cursor import (
    Cursor,
    CursorExpired,
    CursorInvalid,
    decode_cursor,
    digest_request,
)

GIVEN = Cursor("20261121T083000.123Z-5f2c9a", "ab" * 12, 40)


def decoded(text: str, **changes) -> Cursor:
    of = {"generation": GIVEN.generation, "request": GIVEN.request, "most": 400, **changes}
    return decode_cursor(text, **of)


def test_a_cursor_comes_back_as_it_was_and_needs_no_escaping():
    text = GIVEN.encode()
    assert decoded(text) == GIVEN
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(st.data())
def test_any_changed_character_is_noticed(data):
    text = GIVEN.encode()
    place = data.draw(st.integers(0, len(text) - 1))
    letters = st.sampled_from("ABCxyz019-_+/=. é\ud800")
    changed = text[:place] + data.draw(letters.filter(lambda one: one != text[place]))
    changed += text[place + 1 :]
    with pytest.raises(CursorInvalid):
        decoded(changed)


@given(st.integers(0, len(GIVEN.encode()) - 1))
def test_a_cut_cursor_is_noticed(length):
    with pytest.raises(CursorInvalid):
        decoded(GIVEN.encode()[:length])


@given(st.text(max_size=60))
def test_no_text_does_worse_than_being_invalid(text):
    with pytest.raises(CursorInvalid):
        decoded(text)


def test_one_for_another_request_is_invalid():
    with pytest.raises(CursorInvalid, match="another request"):
        decoded(GIVEN.encode(), request="cd" * 12)


def test_one_for_another_generation_has_expired():
    with pytest.raises(CursorExpired):
        decoded(GIVEN.encode(), generation="20261122T083000.123Z-5f2c9a")


@pytest.mark.parametrize("offset", [0, -1, 401, True, "40", None, 1.5])
def test_an_offset_outside_the_window_is_invalid(offset):
    with pytest.raises(CursorInvalid):
        decoded(Cursor(GIVEN.generation, GIVEN.request, offset).encode())


def test_digests_tell_parts_apart():
    assert digest_request("ab", "c") != digest_request("a", "bc")
    assert digest_request("a", None) != digest_request(None, "a")
    assert digest_request(b"a") == digest_request(b"a")
