"""Titles as weighted words and pieces of words, for Qdrant's inverted index.

A dense vector misses exact names, and knows only the scripts it has learned. Words are exact in
every script; the pieces, two and three characters long, find a word that is misspelt, inflected,
or part of a hashtag. The searcher multiplies each of a query by its inverse document frequency
(``stores/document_frequencies.py``), so that a search adds up to BM25.

A second family of terms has each word by its sound (``sounds.py``), and pieces of that, so that
what is typed in Latin letters finds titles of any script.

Source of the weights: Robertson, Zaragoza: The Probabilistic Relevance Framework: BM25 and Beyond,
2009. What they were chosen by is in ``docs/decisions/0011-words.md``.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from functools import lru_cache
from itertools import chain
from typing import Final, NamedTuple
from zlib import crc32

import regex

from twinlens.catalog.vectors import SparseVector, find_share, to_sparse_vector
from twinlens.encoders.fingerprints import make_fingerprint
from twinlens.encoders.sounds import SOUNDS_VERSION, Sound, is_latin, sound_out

_PIECE_LENGTHS: Final = (2, 3)
_PIECE_WEIGHT: Final = 0.3
# Pieces of a word by its sound, and how much its sound counts beside its letters in a query.
_SOUND_LENGTHS: Final = (3,)
_SOUND_WEIGHT: Final = 0.5
_SOUND_PIECE_WEIGHT: Final = 0.4
# BM25's k1 and b. The average is a constant, as a title's weights must not depend on the others'.
_SATURATION: Final = 0.6
_LENGTH_SHARE: Final = 0.75
_AVERAGE_TERMS: Final = 80
_AVERAGE_SOUNDS: Final = 40
# A title has 100 characters; this much of a longer text says what it is about.
_MAX_CHARACTERS: Final = 2000

# Letters with the signs that belong to them, or one symbol: an emoji, a currency.
_PLAIN_WORD: Final = regex.compile(r"[\p{L}\p{N}][\p{L}\p{N}\p{M}]*|[\p{So}\p{Sc}]")
# Names of languages, nothing without their signs: c#, f#, c++ (and c++20), .net (and asp.net).
_SIGNED_WORD: Final = (
    r"(?<![\p{L}\p{N}\p{M}])[a-z](?:#|\+\+)(?![\p{L}\p{M}])|\.net(?![\p{L}\p{N}\p{M}])"
)
_WORD: Final = regex.compile(f"{_SIGNED_WORD}|{_PLAIN_WORD.pattern}")
# Controls and joiners don't show, and Latin accents are often left out by those who type.
_DROPPED: Final = regex.compile(r"[\p{Cc}\p{Cf}\u0300-\u036f]+")
_SPACE: Final = regex.compile(r"\s+")
# With its signs, as a person sees it. Not \X, whose Indic clusters differ between Unicode versions.
_CHARACTER: Final = regex.compile(r"\P{M}\p{M}*")
# What a person takes for one character, which is never cut where a title is shown. The joiner asks
# for one shape with what follows, which in Sinhala is still another grapheme for Unicode.
_GRAPHEME: Final = regex.compile(r"\X(?:(?<=\u200d)\X)*")

_LETTERS_RULE: Final = (
    "words",
    f"pieces {_PIECE_LENGTHS}",
    f"k1 {_SATURATION}, b {_LENGTH_SHARE} of {_AVERAGE_TERMS}",
    f"first {_MAX_CHARACTERS} characters, version 1",
)
WORDS_FINGERPRINT: Final = make_fingerprint(
    *_LETTERS_RULE,
    "names with signs",
    f"sounds {SOUNDS_VERSION}, pieces {_SOUND_LENGTHS}, {_AVERAGE_SOUNDS}",
)
# Of vectors made before there were sounds, and names with signs; such an index is asked by that.
LETTERS_FINGERPRINT: Final = make_fingerprint(*_LETTERS_RULE)
# The highest bit of a term's index says of which family it is.
_OF_SOUND: Final = 1 << 31

Term = tuple[int, str]


def weigh_title(title: str) -> SparseVector | None:
    """Return the words, sounds and pieces of a stored title with BM25's weights; None without."""
    words = _list_words(title)
    return _to_sparse(
        _saturate(_count_terms(words), _AVERAGE_TERMS),
        _saturate(_count_title_sounds(words), _AVERAGE_SOUNDS),
    )


def weigh_query(text: str) -> SparseVector | None:
    """Weigh the words, sounds and pieces of what a person typed, pieces less; None without any."""
    words = _list_words(text)
    sounds = chain.from_iterable(_cut_sound(sound) for word in words if (sound := sound_out(word)))
    return _to_sparse(
        _weigh_letters(words),
        {term: _SOUND_PIECE_WEIGHT if term[0] else _SOUND_WEIGHT for term in sounds},
    )


def weigh_title_letters(title: str) -> SparseVector | None:
    """Return what ``weigh_title`` did before there were sounds."""
    return _hash({0: _saturate(_count_terms(_list_plain_words(title)), _AVERAGE_TERMS)}, shift=0)


def weigh_query_letters(text: str) -> SparseVector | None:
    """Return what ``weigh_query`` did before there were sounds."""
    return _hash({0: _weigh_letters(_list_plain_words(text))}, shift=0)


def split_families(vector: SparseVector) -> tuple[SparseVector, SparseVector]:
    """Return the part of ``vector`` that is of letters, and that of sounds; either may be empty."""
    of_sound = vector.indices >= _OF_SOUND
    return (
        SparseVector(vector.indices[~of_sound], vector.values[~of_sound]),
        SparseVector(vector.indices[of_sound], vector.values[of_sound]),
    )


def measure_coverage(asked: SparseVector, held: SparseVector | None) -> float:
    """Return the share, 0 to 1, of a query that a title holds: by its letters, or by its sound.

    The larger counts. A title in another script can't have the letters, and has the sound.
    """
    return max(find_share(one, held) for one in split_families(asked) if one.indices.size)


class FoldedWord(NamedTuple):
    """A word as it is compared, and where each of its characters stands in the text it is of.

    ``spans[i]`` are the start and end, in the text, of the grapheme that gave ``folded[i]``.
    """

    folded: str
    spans: list[tuple[int, int]]


def fold_words(text: str) -> list[FoldedWord]:
    """Return the words of ``text``, folded as ``weigh_title`` folds them, each with its places.

    Each grapheme is folded by itself. Where invisible characters part what would otherwise be put
    together (jamo of Hangul, halves of a vowel sign), such a word differs from that of
    ``weigh_title``.
    """
    folded: list[str] = []
    spans: list[tuple[int, int]] = []
    if text.isascii() and text.isprintable():
        folded = list(text[:_MAX_CHARACTERS].lower())
        spans = [(at, at + 1) for at in range(len(folded))]
    else:
        for grapheme in _GRAPHEME.finditer(text):
            if grapheme.start() >= _MAX_CHARACTERS:
                break
            given = _fold_grapheme(grapheme.group())
            folded += given
            spans += [grapheme.span()] * len(given)
    return [
        FoldedWord(word.group(), spans[word.start() : word.end()])
        for word in _WORD.finditer("".join(folded))
    ]


def fold_to_words(text: str) -> list[str]:
    """Return the words of ``text``, folded as ``weigh_title`` folds them."""
    return _list_words(text)


def list_pieces(folded: str) -> list[str]:
    """Return the pieces of a folded word, two and three characters long, its ends marked."""
    return [piece for _, piece in _cut_pieces(folded, _PIECE_LENGTHS)]


def list_sound_pieces(sound: Sound) -> list[str]:
    """Return the pieces of a sound's skeleton, three letters long, its ends marked."""
    return [piece for _, piece in _cut_pieces(sound.skeleton, _SOUND_LENGTHS)]


@lru_cache(maxsize=4096)
def _fold_grapheme(grapheme: str) -> str:
    return _normalize(grapheme)


def _list_words(text: str) -> list[str]:
    return _WORD.findall(_normalize(text[:_MAX_CHARACTERS]))


def _list_plain_words(text: str) -> list[str]:
    return _PLAIN_WORD.findall(_normalize(text[:_MAX_CHARACTERS]))


def _count_terms(words: list[str]) -> Counter[Term]:
    """Return how often each word (length 0) and each piece (its length in characters) occurs."""
    terms: Counter[Term] = Counter()
    for word in words:
        terms[0, word] += 1
        terms.update(_cut_pieces(word, _PIECE_LENGTHS))
    return terms


def _count_title_sounds(words: list[str]) -> Counter[Term]:
    """Return how often each sound of a title's words occurs, and each piece of a sound.

    A Latin word has no pieces of its sound, as it has those of its letters. Where a title spells a
    word in Latin letters and in others, the others' sound would count it twice.
    """
    heard = {word: sound for word in words if (sound := sound_out(word))}
    latin = {sound.spelling for word, sound in heard.items() if is_latin(word)}
    terms: Counter[Term] = Counter()
    for word in words:
        if word not in heard:
            continue
        if is_latin(word):
            terms[0, heard[word].spelling] += 1
        elif heard[word].spelling not in latin:
            terms.update(_cut_sound(heard[word]))
    return terms


def _cut_sound(sound: Sound) -> list[Term]:
    return [(0, sound.spelling), *_cut_pieces(sound.skeleton, _SOUND_LENGTHS)]


def _saturate(counts: Counter[Term], average: int) -> dict[Term, float]:
    norm = _SATURATION * (1 - _LENGTH_SHARE + _LENGTH_SHARE * counts.total() / average)
    return {term: count * (_SATURATION + 1) / (count + norm) for term, count in counts.items()}


def _cut_pieces(word: str, lengths: tuple[int, ...]) -> list[Term]:
    """Cut ``word`` into its pieces, each after its length in characters."""
    characters = ["<", *_CHARACTER.findall(word), ">"]
    return [
        (length, "".join(characters[start : start + length]))
        for length in lengths
        for start in range(len(characters) - length + 1)
    ]


def _normalize(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", _SPACE.sub(" ", text))
    return unicodedata.normalize("NFC", _DROPPED.sub("", decomposed)).casefold()


def _weigh_letters(words: list[str]) -> dict[Term, float]:
    return {term: _PIECE_WEIGHT if term[0] else 1.0 for term in _count_terms(words)}


def _to_sparse(letters: dict[Term, float], sounds: dict[Term, float]) -> SparseVector | None:
    return _hash({0: letters, _OF_SOUND: sounds}, shift=1)


def _hash(families: dict[int, dict[Term, float]], *, shift: int) -> SparseVector | None:
    """Return the terms of each family at their hash, less ``shift`` bits, in the family's bit."""
    # Of two terms with one hash, which are rare, both count.
    summed: dict[int, float] = {}
    for family, weights in families.items():
        for (length, text), weight in weights.items():
            key = family | crc32(f"{length}{text}".encode()) >> shift
            summed[key] = summed.get(key, 0.0) + weight
    return to_sparse_vector(summed.items()) if summed else None
