"""Spellings of one word that meet, and words that stay apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinlens.encoders.sounds import is_latin, romanise, sound_out


@pytest.mark.parametrize(
    "spellings",
    [
        "කොහොමද kohomada kohomadha kohomadaa kōhomada",
        "අප්පච්චි appachchi apachchi apachi appacci",
        "සිංහල sinhala singhala simhala",
        "ශ්රී shri sri srii shree",
        "දුවත් duwath duvat dhuwat",
        "ඥාන gnana jnana nyaana",
        "ක්රිකට් krikat",
        "ලංකා lanka lankaa lamka",
        "தமிழ் tamil tamizh thamil thamizh",
        "பாடல் paadal padal",
        "ख़बर khabar khabara",
        "हिन्दी hindi hindee hindhi",
        "москва moskva",
    ],
)
def test_casual_spellings_of_a_word_meet(spellings: str) -> None:
    skeletons = {word: sound_out(word) for word in spellings.split()}
    assert len({sound.skeleton for sound in skeletons.values() if sound}) == 1, skeletons


@pytest.mark.parametrize(
    ("one", "other"),
    [("kohomada", "oklahoma"), ("yala", "ela"), ("poda", "podi"), ("wadi", "vathi")],
)
def test_other_words_stay_apart(one: str, other: str) -> None:
    assert sound_out(one) != sound_out(other)


def test_tamil_writes_one_letter_where_people_type_two() -> None:
    for tamil, typed in (("பாடல்கள்", "padalgal"), ("செய்தி", "seithi"), ("பஞ்சாயத்து", "panjayathu")):
        written, heard = sound_out(tamil), sound_out(typed)
        assert written is not None
        assert heard is not None
        assert written.skeleton == heard.skeleton


def test_a_silent_vowel_is_heard_in_scripts_that_do_not_write_it() -> None:
    assert romanise("කමල") == "kamala"
    assert romanise("කමල්") == "kamal"
    assert romanise("Kamal") == "kamal"


def test_numbers_and_symbols_have_no_sound() -> None:
    for word in ("2026", "🎸", "€", ""):
        assert sound_out(word) is None
    assert is_latin("café")
    assert is_latin("2026")
    assert not is_latin("12පැය")


@given(st.text())
def test_any_word_has_a_sound_of_letters_and_digits_or_none(word: str) -> None:
    sound = sound_out(word)
    if sound is not None:
        assert sound.spelling.isascii()
        assert sound.spelling.isalnum()
        assert sound.skeleton.isalnum()
