"""Titles as people remember and type them: words left out, in another order, misspelt, or in part.

All that is done to letters is done to whole grapheme clusters: in Sinhala, Tamil or Devanagari a
vowel sign never parts from its consonant, as it never does under a person's finger.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import regex

# Letters of one sound or look that are taken for one another. Sinhala: n and l, dental and
# retroflex; the three s; aspirated for plain; vowels short for long. Tamil: three n, three l, two
# r; vowels short for long.
_SOUND_ALIKE: Final = (
    ("න", "ණ"),
    ("ල", "ළ"),
    ("ස", "ශ", "ෂ"),
    ("ත", "ථ"),
    ("ද", "ධ"),
    ("ක", "ඛ"),
    ("ග", "ඝ"),
    ("බ", "භ"),
    ("ප", "ඵ"),
    ("ච", "ඡ"),
    ("ට", "ඨ"),
    ("ඩ", "ඪ"),
    ("ි", "ී"),
    ("ු", "ූ"),
    ("ෙ", "ේ"),
    ("ො", "ෝ"),
    ("ැ", "ෑ"),
    ("ந", "ன", "ண"),
    ("ல", "ள", "ழ"),
    ("ர", "ற"),
    ("ி", "ீ"),
    ("ு", "ூ"),
    ("ெ", "ே"),
    ("ொ", "ோ"),
    ("ि", "ी"),
    ("ु", "ू"),
    ("न", "ण"),
    ("श", "ष", "स"),
)
_KEYBOARD: Final = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
# Shorter words are misspelt seldom, and are past recognition when they are.
_LEAST_CLUSTERS: Final = 3
_LEAST_CHARACTERS: Final = 4

_MOST_TYPED: Final = 4  # words of a query that is part of a title

_CLUSTER: Final = regex.compile(r"\X")
_LETTER: Final = regex.compile(r"\p{L}")
_TYPED: Final = regex.compile(r"[\p{L}\p{N}]")
_DIGIT: Final = regex.compile(r"\p{N}")
_EMOJI: Final = regex.compile(r"[\p{Extended_Pictographic}\p{Emoji_Modifier}]+")


class Remembered(NamedTuple):
    """What a person types, and the words of the title that they mean by it."""

    text: str
    meant: tuple[str, ...]


# Of a title, by its script; None where the title has too few words for it, or by bad luck.
Damage = Callable[[str, str, np.random.Generator], Remembered | None]


def script_of(title: str) -> str | None:
    """The script of ``title``: the commonest among its letters other than Latin, else Latin.

    A title with one Sinhala word among English ones is a Sinhala title here: that is the word
    that is hard to find. The name is that of Unicode's character names (``SINHALA``); None
    where there is no letter.
    """
    counts = Counter(
        unicodedata.name(letter, "").partition(" ")[0] for letter in _LETTER.findall(title)
    )
    latin = counts.pop("LATIN", 0)
    if counts:
        return max(counts, key=lambda name: (counts[name], name))
    return "LATIN" if latin else None


def typed_words(title: str) -> list[str]:
    """The words that a person would type: those with a letter or a digit, emoji and bars out."""
    return [word for word in _EMOJI.sub(" ", title).split() if _TYPED.search(word)]


def drop_words(title: str, script: str, rng: np.random.Generator) -> Remembered | None:
    """A third of the words left out, at least one; at least two, one of ``script``, stay."""
    words = typed_words(title)
    kept_count = len(words) - max(1, round(len(words) / 3))
    if kept_count < 2:
        return None
    kept = [words[at] for at in sorted(_chosen(rng, len(words), kept_count))]
    return _remembered(title, kept, kept, script)


def swap_words(title: str, script: str, rng: np.random.Generator) -> Remembered | None:
    """Two words in each other's place, and another two for every six words of the title."""
    words = typed_words(title)
    if len(words) < 2:
        return None
    swapped = list(words)
    for _ in range(1 + len(words) // 6):
        first, second = _chosen(rng, len(words), 2)
        swapped[first], swapped[second] = swapped[second], swapped[first]
    return None if swapped == words else _remembered(title, swapped, words, script)


def misspell(title: str, script: str, rng: np.random.Generator) -> Remembered | None:
    """One slip in every fourth word, at least one, in words of ``script`` first."""
    words = typed_words(title)
    return _remembered(title, _misspelt(words, script, rng), words, script)


def take_part(title: str, script: str, rng: np.random.Generator) -> Remembered | None:
    """Two to four words in a row, one of them of ``script``: as much as most people type."""
    part = _part(title, rng)
    return _remembered(title, part, part, script)


def misspell_part(title: str, script: str, rng: np.random.Generator) -> Remembered | None:
    """Two to four words in a row, and a slip in one of them."""
    part = _part(title, rng)
    return _remembered(title, _misspelt(part, script, rng), part, script)


DAMAGES: Final[Mapping[str, Damage]] = {
    "words dropped": drop_words,
    "words swapped": swap_words,
    "misspelt": misspell,
    "in part": take_part,
    "in part, misspelt": misspell_part,
}


def slip(word: str, rng: np.random.Generator) -> str | None:
    """``word`` with one slip of a person who types; None where it has too few letters for one.

    A cluster is left out, typed twice, exchanged with its neighbour, or replaced by one that sounds
    or looks alike or lies beside it on the keyboard. The first cluster stays in its place.
    """
    clusters: list[str] = _CLUSTER.findall(word)
    letters = [at for at, cluster in enumerate(clusters) if _LETTER.match(cluster)]
    if len(letters) < _LEAST_CLUSTERS or len(word) < _LEAST_CHARACTERS or _DIGIT.search(word):
        return None
    for kind in rng.permutation(4):
        for at in rng.permutation(letters[1:]):
            found = _slipped(clusters, int(at), int(kind), rng)
            if found is not None and not _same(found, word):
                return found
    return None


def _slipped(clusters: Sequence[str], at: int, kind: int, rng: np.random.Generator) -> str | None:
    before, cluster, after = clusters[:at], clusters[at], clusters[at + 1 :]
    if kind == 0:
        return "".join([*before, *after])
    if kind == 1:
        return "".join([*before, cluster, cluster, *after])
    if kind == 2:
        if not after or not _LETTER.match(after[0]):
            return None
        return "".join([*before, after[0], cluster, *after[1:]])
    replaced = _replaced(cluster, rng)
    return None if replaced is None else "".join([*before, replaced, *after])


def _replaced(cluster: str, rng: np.random.Generator) -> str | None:
    """``cluster`` with one character that is easily taken for another, or beside it, replaced."""
    places = [at for at, character in enumerate(cluster) if _ALIKE.get(character.lower())]
    if not places:
        return None
    at = places[int(rng.integers(len(places)))]
    others = _ALIKE[cluster[at].lower()]
    other = others[int(rng.integers(len(others)))]
    return cluster[:at] + (other.upper() if cluster[at].isupper() else other) + cluster[at + 1 :]


def _alike() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for group in _SOUND_ALIKE:
        for one in group:
            found[one] = tuple(other for other in group if other != one)
    for row in _KEYBOARD:
        for at, key in enumerate(row):
            found[key] = tuple(row[max(0, at - 1) : at] + row[at + 1 : at + 2])
    return found


_ALIKE: Final = _alike()


def _misspelt(words: Sequence[str], script: str, rng: np.random.Generator) -> list[str]:
    """The words with slips; none at all where no word of ``script`` can be misspelt."""
    misspelt = list(words)
    slips = 0
    # Words of the script first, for that is where the search is put to the test.
    order = sorted(rng.permutation(len(words)), key=lambda at: script_of(words[at]) != script)
    for at in order:
        if slips == max(1, round(len(words) / 4)):
            break
        if slips == 0 and script_of(words[at]) != script:
            return []
        slipped = slip(words[at], rng)
        if slipped is not None:
            misspelt[at] = slipped
            slips += 1
    return misspelt if slips else []


def _part(title: str, rng: np.random.Generator) -> list[str]:
    words = typed_words(title)
    most = min(_MOST_TYPED, len(words) - 1)
    if most < 2:
        return []
    length = int(rng.integers(2, most + 1))
    first = int(rng.integers(len(words) - length + 1))
    return words[first : first + length]


def _remembered(
    title: str, typed: Sequence[str], meant: Sequence[str], script: str
) -> Remembered | None:
    """The words as a query, unless they are the title's, or have none of the script."""
    text = " ".join(typed)
    if _same(text, title) or not any(script_of(word) == script for word in typed):
        return None
    return Remembered(text, tuple(meant))


def _same(one: str, other: str) -> bool:
    """Whether nothing but case, form or space sets them apart."""
    return plain(one) == plain(other)


def plain(text: str) -> str:
    """``text`` in NFKC without case, its words parted by single spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _chosen(rng: np.random.Generator, among: int, count: int) -> list[int]:
    return [int(one) for one in rng.choice(among, count, replace=False)]
