"""Words of any script spelt by their sound in Latin letters, so that casual spellings meet.

``anyascii`` spells each letter; ``sounds.toml`` holds what people type instead, and which spellings
are one. ``docs/decisions/0044-sounds.md`` says what that was chosen by.
"""

from __future__ import annotations

import tomllib
import zlib
from functools import lru_cache
from importlib.resources import files
from typing import Final, NamedTuple

import regex
from anyascii import anyascii

_RULES: Final = tomllib.loads(
    files("twinlens.encoders").joinpath("sounds.toml").read_text(encoding="utf-8")
)
_LETTERS: Final[dict[str, str]] = _RULES["letters"]


def _compile(part: str) -> list[tuple[regex.Pattern[str], str]]:
    return [(regex.compile(pattern), to) for pattern, to in _RULES[part]["rules"]]


_SPELLING: Final = _compile("spelling")
_SKELETON: Final = _compile("skeleton")
# Scripts that don't write the vowel "a", which is heard after a consonant without another sign.
_SILENT_A: Final = regex.compile(
    r"(?:(?=[\p{Devanagari}\p{Bengali}\p{Gurmukhi}\p{Gujarati}\p{Oriya}\p{Tamil}\p{Telugu}"
    r"\p{Kannada}\p{Malayalam}\p{Sinhala}])\p{InSC=Consonant}\p{InSC=Nukta}?)"
    r"(?![\p{InSC=Vowel_Dependent}\p{InSC=Virama}\p{InSC=Pure_Killer}\p{InSC=Nukta}])"
)
_UNSPELT: Final = regex.compile(r"[^a-z0-9]+")
_MOST_HEARD: Final = 100
_SIGN: Final = regex.compile(r"[#+.]")
_LETTER: Final = regex.compile(r"\p{L}")
_OTHER_LETTER: Final = regex.compile(r"(?!\p{Latin})\p{L}")

#: Changes with whatever changes a spelling.
SOUNDS_VERSION: Final = f"version 1, {zlib.crc32(repr(_RULES).encode())}"


class Sound(NamedTuple):
    """A word by its sound: its spelling, and the skeleton that spellings further apart share."""

    spelling: str
    skeleton: str


def sound_out(word: str) -> Sound | None:
    """Return how a folded ``word`` of any script sounds; None: it has no letter, as a number.

    A name with signs, as c++, is not said as it is spelt, and has no sound either.

    Of a run of more than 100 characters, the first 100 are heard.
    """
    return _sound_out(word[:_MOST_HEARD])


@lru_cache(maxsize=16384)
def _sound_out(word: str) -> Sound | None:
    if not _LETTER.search(word) or _SIGN.search(word):
        return None
    spelling = _apply(_SPELLING, _UNSPELT.sub("", romanise(word)))
    return Sound(spelling, _apply(_SKELETON, spelling)) if spelling else None


def is_latin(word: str) -> bool:
    """Return whether ``word`` has no letter of another script."""
    return _OTHER_LETTER.search(word) is None


def romanise(word: str) -> str:
    """Return ``word`` in the Latin letters that people would type for it, in lower case."""
    if word.isascii():
        return word.lower()
    heard = _SILENT_A.sub(r"\g<0>a", word)
    return "".join(_LETTERS[one] if one in _LETTERS else anyascii(one) for one in heard).lower()


def _apply(rules: list[tuple[regex.Pattern[str], str]], text: str) -> str:
    for pattern, to in rules:
        text = pattern.sub(to, text)
    return text
