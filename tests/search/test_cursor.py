from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinlens.search.cursor import Cursor, CursorExpired, CursorInvalid, decode_cursor

GIVEN = Cursor("20261121T083000.123Z-5f2c9a", "ab" * 12, 40)
TEXT = GIVEN.encode()

cut = st.integers(0, len(TEXT) - 1).map(lambda length: TEXT[:length])
changed = st.builds(
    lambda place, letter: TEXT[:place] + letter + TEXT[place + 1 :],
    st.integers(0, len(TEXT) - 1),
    st.sampled_from("ABCxyz019-_+/=. é\ud800"),
).filter(lambda text: text != TEXT)


def decoded(text: str, **changes) -> Cursor:
    of = {"generation": GIVEN.generation, "request": GIVEN.request, "most": 400, **changes}
    return decode_cursor(text, **of)


def test_a_cursor_comes_back_as_it_was_and_needs_no_escaping():
    assert decoded(TEXT) == GIVEN
    assert set(TEXT) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@settings(max_examples=300)
@given(changed | cut | st.text(max_size=60))
def test_what_is_changed_or_cut_or_none_at_all_is_invalid_and_no_worse(text):
    with pytest.raises(CursorInvalid):
        decoded(text)


def test_one_for_another_request_is_invalid_and_for_another_generation_has_expired():
    with pytest.raises(CursorInvalid, match="another request"):
        decoded(TEXT, request="cd" * 12)
    with pytest.raises(CursorExpired):
        decoded(TEXT, generation="20261122T083000.123Z-5f2c9a")


@pytest.mark.parametrize("offset", [0, -1, 401, True, "40", None, 1.5])
def test_an_offset_outside_the_window_is_invalid(offset):
    with pytest.raises(CursorInvalid):
        decoded(Cursor(GIVEN.generation, GIVEN.request, offset).encode())
