"""Mark the parts of a title that a searched text matches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

import regex

from twinlens.encoders.sounds import Sound, is_latin, sound_out
from twinlens.encoders.words import (
    NAME_WEIGHTS,
    FoldedWord,
    Label,
    fold_words,
    list_pieces,
    list_sound_pieces,
)
from twinlens.stores.base import Payload

_MOST_LABELS: Final = 10
# Shorter parts occur inside too many words to mean anything.
_SHORTEST_PART: Final = 3
_SHORTEST_PART_UNSPACED: Final = 2
_SHORTEST_MISSPELT: Final = 4
# The Dice coefficient of the pieces of two words above which one is a misspelling of the other:
# "kitchn" and "kitchen" share 0.71, "cricekt" and "cricket" 0.53, "film" and "fine" 0.29.
_ALIKE: Final = 0.5
# Scripts written with few or no spaces, where one run of letters is often several words.
_UNSPACED: Final = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
)
# An ending takes the place of the sign that no vowel follows: தமிழ், but தமிழில்.
_SILENT_END: Final = regex.compile(r"[\p{InSC=Virama}\p{InSC=Pure_Killer}]$")


class TitlePart(NamedTuple):
    """A stretch of a title, and whether the text has matched it."""

    text: str
    matched: bool


class MarkedLabel(NamedTuple):
    """A channel, tag or category in which the text has matched something."""

    field: Label
    parts: list[TitlePart]


class Highlighter:
    """Marks in titles the words of a searched text, compared as the ranking by words does.

    A word of the title is marked whole if the text has it, in any spelling that ``encoders.words``
    folds together. Otherwise, if a word of the text occurs inside it, that part is marked ("ලංකා" in
    "ලංකාවේ", "cricket" in "#cricketlive"). Otherwise it is marked whole if the text has a word so
    like it that one may be a misspelling or inflection of the other, or, where one of the two is in
    Latin letters and the other isn't, that sounds like it ("kohomada", කොහොමද).
    """

    def __init__(self, text: str) -> None:
        self._words = list(dict.fromkeys(word.folded for word in fold_words(text)))
        self._known = frozenset(self._words)
        parts = (_SILENT_END.sub("", word) for word in self._words)
        self._parts = {part for part in parts if _may_be_a_part(part)}
        self._pieces = {
            word: set(list_pieces(word)) for word in self._words if len(word) >= _SHORTEST_MISSPELT
        }
        sounds = ((word, sound) for word in self._words if (sound := sound_out(word)))
        self._sounds = [(is_latin(word), sound, _cut_sound(sound)) for word, sound in sounds]
        self._having: dict[str, list[str]] = {}
        for word, pieces in self._pieces.items():
            for piece in pieces:
                self._having.setdefault(piece, []).append(word)

    def mark(self, title: str) -> list[TitlePart]:
        """Return the parts of ``title`` in order, marked or not; joined they are the title.

        A part ends where a grapheme does, so that each can be shown by itself.
        """
        marked = _merge(self._find_spans(title))
        parts: list[TitlePart] = []
        shown = 0
        for start, end in marked:
            if start > shown:
                parts.append(TitlePart(title[shown:start], matched=False))
            parts.append(TitlePart(title[start:end], matched=True))
            shown = end
        if shown < len(title):
            parts.append(TitlePart(title[shown:], matched=False))
        return parts

    def mark_labels(self, payload: Payload) -> list[MarkedLabel]:
        """Return those names of the channel, the tags and the category that are marked anywhere."""
        found = []
        for name in NAME_WEIGHTS:
            value = payload.get(name)
            for text in [value] if isinstance(value, str) else value or ():
                parts = self.mark(text)
                if any(part.matched for part in parts):
                    found.append(MarkedLabel(name, parts))
        return found[:_MOST_LABELS]

    def _find_spans(self, title: str) -> Iterator[tuple[int, int]]:
        words = fold_words(title)
        # A word that the title has exactly is not searched for among similar ones.
        found = {word.folded for word in words} & self._known
        for word in words:
            if word.folded in self._known:
                yield word.spans[0][0], word.spans[-1][1]
            elif inside := [part for part in self._parts if part in word.folded]:
                for part in inside:
                    yield from _find_occurrences(part, word)
            elif self._is_like_one_but(found, word.folded) or self._sounds_like_one(word.folded):
                yield word.spans[0][0], word.spans[-1][1]

    def _is_like_one_but(self, found: set[str], folded: str) -> bool:
        if len(folded) < _SHORTEST_MISSPELT:
            return False
        pieces = set(list_pieces(folded))
        shared = Counter(word for piece in pieces for word in self._having.get(piece, ()))
        return any(
            2 * count >= _ALIKE * (len(pieces) + len(self._pieces[word]))
            for word, count in shared.items()
            if word not in found
        )

    def _sounds_like_one(self, folded: str) -> bool:
        sound, latin = sound_out(folded), is_latin(folded)
        if sound is None:
            return False
        pieces = _cut_sound(sound)
        return any(
            sound.spelling == other.spelling
            or 2 * len(pieces & others) >= _ALIKE * (len(pieces) + len(others)) > 0
            for of_latin, other, others in self._sounds
            if of_latin != latin
        )


def _cut_sound(sound: Sound) -> set[str]:
    """Return the pieces of a sound that is long enough to be told by them."""
    long_enough = len(sound.skeleton) >= _SHORTEST_PART
    return set(list_sound_pieces(sound)) if long_enough else set()


def _may_be_a_part(word: str) -> bool:
    shortest = _SHORTEST_PART_UNSPACED if _UNSPACED.search(word) else _SHORTEST_PART
    return len(word) >= shortest


def _find_occurrences(part: str, word: FoldedWord) -> Iterator[tuple[int, int]]:
    at = word.folded.find(part)
    while at >= 0:
        yield word.spans[at][0], word.spans[at + len(part) - 1][1]
        at = word.folded.find(part, at + len(part))


def _merge(spans: Iterator[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the spans in order, those that touch or overlap made one."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged
