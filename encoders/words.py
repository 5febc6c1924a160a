"""Titles as weighted words and pieces of words, for Qdrant's inverted index.

A dense vector misses exact names, and knows only the scripts it has learned. Words are exact in
every script; the pieces, two and three characters long, find a word that is misspelt, inflected,
or part of a hashtag. The searcher multiplies each of a query by its inverse document frequency
(``stores/document_frequencies.py``), so that a search adds up to BM25.

A second family of terms has each word by its sound (``sounds.py``), and pieces of that, so that
what is typed in Latin letters finds titles of any script. A third has the names of the channel, the
tags and the category, each as one term: who types such a name finds the videos that have it.

Source of the weights: Robertson, Zaragoza: The Probabilistic Relevance Framework: BM25 and Beyond,
2009. What they were chosen by is in ``docs/decisions/0011-words.md``.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import chain, islice, pairwise
from types import MappingProxyType
from typing import Final, Literal, NamedTuple
from zlib import crc32

import numpy as np
import regex

from twinlens.catalog.vectors import SparseVector, find_held, find_share, to_sparse_vector
from twinlens.encoders.fingerprints import make_fingerprint
from twinlens.encoders.sounds import SOUNDS_VERSION, Sound, is_latin, sound_out

_PIECE_LENGTHS: Final = (2, 3)
_PIECE_WEIGHT: Final = 0.3
# Pieces of a word by its sound, and how much its sound counts beside its letters in a query.
_SOUND_LENGTHS: Final = (3,)
_SOUND_WEIGHT: Final = 0.5
_SOUND_PIECE_WEIGHT: Final = 0.4
# How much a whole name counts in a query, beside all that is typed as a part of a title: 1.
Label = Literal["channel", "tags", "category"]
NAME_WEIGHTS: Final[Mapping[Label, float]] = MappingProxyType(
    {"channel": 3.0, "tags": 1.0, "category": 1.5}
)
# As many as the platforms' own limits allow, and more.
_MOST_NAMES: Final = 200
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
CHARACTER: Final = regex.compile(r"\P{M}\p{M}*")
# What a person takes for one character, which is never cut where a title is shown. The joiner asks
# for one shape with what follows, which in Sinhala is still another grapheme for Unicode.
_GRAPHEME: Final = regex.compile(r"\X(?:(?<=\u200d)\X)*")

_LETTERS_RULE: Final = (
    "words",
    f"pieces {_PIECE_LENGTHS}",
    f"k1 {_SATURATION}, b {_LENGTH_SHARE} of {_AVERAGE_TERMS}",
    f"first {_MAX_CHARACTERS} characters, version 1",
)
# Of vectors made before there were sounds, and names with signs; such an index is asked by that.
LETTERS_FINGERPRINT: Final = make_fingerprint(*_LETTERS_RULE)
_SOUNDS_RULE: Final = (
    *_LETTERS_RULE,
    "names with signs",
    f"sounds {SOUNDS_VERSION}, pieces {_SOUND_LENGTHS}, {_AVERAGE_SOUNDS}",
)
# Of vectors made before there were names of fields beside the title.
SOUNDS_FINGERPRINT: Final = make_fingerprint(*_SOUNDS_RULE)
WORDS_FINGERPRINT: Final = make_fingerprint(
    *_SOUNDS_RULE, f"names of {', '.join(NAME_WEIGHTS)}, up to {_MOST_NAMES}, version 1"
)
# The highest bits of a term's index say of which family it is: a letter's highest is 0.
_OF_SOUND: Final = 1 << 31
_OF_NAME: Final = 3 << 30

# The length of a piece, or 0 for a word, with its text; of a name, a number below 0 for its field.
Term = tuple[int, str]
Terms = dict[Term, float]


def weigh_title(title: str, names: Iterable[tuple[Label, str]] = ()) -> SparseVector | None:
    """Return the words, sounds and pieces of a stored title with BM25's weights; None without.

    ``names`` are those of other fields, whole, each after its field.
    """
    letters, sounds = _weigh_title(fold_to_words(title))
    whole = dict.fromkeys(
        (
            term
            for field, name in islice(names, _MOST_NAMES)
            for term in _name_terms(field, fold_to_words(name))
        ),
        1.0,
    )
    return _hash((0, 1, letters), (_OF_SOUND, 2, sounds), (_OF_NAME, 2, whole))


def weigh_query(text: str) -> SparseVector | None:
    """Weigh the words, sounds and pieces of what a person typed, pieces less; None without any.

    It is a name in every other field, too, which counts as ``NAME_WEIGHTS`` has it.
    """
    words = fold_to_words(text)
    letters, sounds = _weigh_query(words)
    spelt, heard = sum(letters.values()), sum(sounds.values())
    whole = {
        term: weight * total
        for field, weight in NAME_WEIGHTS.items()
        for term, total in zip(_name_terms(field, words), (spelt, heard), strict=False)
    }
    return _hash((0, 1, letters), (_OF_SOUND, 2, sounds), (_OF_NAME, 2, whole))


def weigh_title_sounds(title: str) -> SparseVector | None:
    """Return what ``weigh_title`` did before there were names of other fields."""
    letters, sounds = _weigh_title(fold_to_words(title))
    return _hash((0, 1, letters), (_OF_SOUND, 1, sounds))


def weigh_query_sounds(text: str) -> SparseVector | None:
    """Return what ``weigh_query`` did before there were names of other fields."""
    letters, sounds = _weigh_query(fold_to_words(text))
    return _hash((0, 1, letters), (_OF_SOUND, 1, sounds))


def weigh_title_letters(title: str) -> SparseVector | None:
    """Return what ``weigh_title`` did before there were sounds."""
    return _hash((0, 0, _saturate(_count_terms(_list_plain_words(title)), _AVERAGE_TERMS)))


def weigh_query_letters(text: str) -> SparseVector | None:
    """Return what ``weigh_query`` did before there were sounds."""
    return _hash((0, 0, _weigh_letters(_list_plain_words(text))))


def split_families(vector: SparseVector, *, has_names: bool = True) -> list[SparseVector]:
    """Return the parts of ``vector`` that are of letters, sounds and names; any may be empty.

    One without names is of letters and sounds alone, by ``weigh_title_sounds`` and its like.
    """
    starts = [0, _OF_SOUND, _OF_NAME] if has_names else [0, _OF_SOUND]
    at = [*np.searchsorted(vector.indices, np.array(starts, dtype=np.uint32)), None]
    return [
        SparseVector(vector.indices[first:last], vector.values[first:last])
        for first, last in pairwise(at)
    ]


def measure_coverage(
    asked: SparseVector, held: SparseVector | None, *, has_names: bool = True
) -> float:
    """Return the share, 0 to 1, of a query that a title holds: by its letters, or by its sound.

    The larger counts. A title in another script can't have the letters, and has the sound. It is 1
    where the query is the whole name of another field. ``has_names`` as in ``split_families``.
    """
    letters, sounds, *names = split_families(asked, has_names=has_names)
    if names and held is not None and find_held(names[0], held).any():
        return 1.0
    return max(find_share(one, held) for one in (letters, sounds) if one.indices.size)


def list_named(text: str, names: Iterable[str]) -> list[str]:
    """Return the ``names`` that ``text`` is, however spaced, by its letters or by its sound."""
    asked = {*_name_terms("channel", fold_to_words(text))}
    return [
        name for name in names if not asked.isdisjoint(_name_terms("channel", fold_to_words(name)))
    ]


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
    return _WORD.findall(_normalize(text[:_MAX_CHARACTERS]))


def list_pieces(folded: str) -> list[str]:
    """Return the pieces of a folded word, two and three characters long, its ends marked."""
    return [piece for _, piece in _cut_pieces(folded, _PIECE_LENGTHS)]


def list_sound_pieces(sound: Sound) -> list[str]:
    """Return the pieces of a sound's skeleton, three letters long, its ends marked."""
    return [piece for _, piece in _cut_pieces(sound.skeleton, _SOUND_LENGTHS)]


@lru_cache(maxsize=4096)
def _fold_grapheme(grapheme: str) -> str:
    return _normalize(grapheme)


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
    characters = ["<", *CHARACTER.findall(word), ">"]
    return [
        (length, "".join(characters[start : start + length]))
        for length in lengths
        for start in range(len(characters) - length + 1)
    ]


def _normalize(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", _SPACE.sub(" ", text))
    return unicodedata.normalize("NFC", _DROPPED.sub("", decomposed)).casefold()


def _weigh_title(words: list[str]) -> tuple[Terms, Terms]:
    return (
        _saturate(_count_terms(words), _AVERAGE_TERMS),
        _saturate(_count_title_sounds(words), _AVERAGE_SOUNDS),
    )


def _weigh_query(words: list[str]) -> tuple[Terms, Terms]:
    sounds = chain.from_iterable(_cut_sound(sound) for word in words if (sound := sound_out(word)))
    return (
        _weigh_letters(words),
        {term: _SOUND_PIECE_WEIGHT if term[0] else _SOUND_WEIGHT for term in sounds},
    )


def _weigh_letters(words: list[str]) -> Terms:
    return {term: _PIECE_WEIGHT if term[0] else 1.0 for term in _count_terms(words)}


def _name_terms(field: Label, words: list[str]) -> list[Term]:
    """Return a name of a field as one run of letters and, if it has any, as one by its sound."""
    if not words:
        return []
    sounds = [sound_out(word) for word in words]
    kind = -2 * (list(NAME_WEIGHTS).index(field) + 1)
    terms = [(kind, "".join(words))]
    if any(sounds):
        heard = (
            sound.spelling if sound else word for sound, word in zip(sounds, words, strict=True)
        )
        terms.append((kind + 1, "".join(heard)))
    return terms


def _hash(*families: tuple[int, int, Terms]) -> SparseVector | None:
    """Return the terms of each family at their hash, less some bits, in the family's first bits."""
    # Of two terms with one hash, which are rare, both count.
    summed: dict[int, float] = {}
    for first_bits, shift, weights in families:
        for (length, text), weight in weights.items():
            key = first_bits | crc32(f"{length}{text}".encode()) >> shift
            summed[key] = summed.get(key, 0.0) + weight
    return to_sparse_vector(summed.items()) if summed else None
