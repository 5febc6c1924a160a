"""From a title to words, and from a word to the numbers of its character n-grams."""

from __future__ import annotations

import unicodedata
import zlib
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
from anyascii import anyascii

# Part of the fingerprint: raise it whenever the n-grams of some text change.
PREPROCESSING_VERSION: Final = 1
_MOST_CHARACTERS: Final = 1000  # of a title
_LONGEST_WORD: Final = 40  # scripts without spaces have longer runs; they are cut into pieces
_NATIVE_LENGTHS: Final = range(2, 6)
_ROMANISED_LENGTHS: Final = range(3, 6)


@lru_cache(maxsize=1 << 16)
def name_script(character: str) -> str:
    """Return the script of a letter or mark, the first word of its Unicode name; else ""."""
    category = unicodedata.category(character)
    # Modifier letters, as the sound marks of kana and ideographs, may be of several scripts.
    if category[0] not in "LM" or category == "Lm":
        return ""
    first = unicodedata.name(character, "").partition(" ")[0]
    return "" if first in {"COMBINING", "VARIATION"} else first


def find_scripts(text: str) -> frozenset[str]:
    """Return the scripts that letters of ``text`` are in."""
    return frozenset(name_script(character) for character in set(text)) - {""}


def cut(text: str) -> str:
    """Return the first thousand characters of ``text``, in NFKC.

    Compatibility forms, because titles are set in mathematical and full-width letters to stand
    out. The bound also keeps the sorting of combining marks, which is quadratic, short.
    """
    return unicodedata.normalize("NFKC", text[:_MOST_CHARACTERS])


def split_words(text: str) -> list[str]:
    """Return the runs of letters, marks and digits in ``text`` of ``cut``, case-folded.

    Joiners and other format characters are dropped without parting a word: people leave them out
    as often as not (Sinhala conjuncts need one). Digits of every script become ASCII's.
    """
    found: list[str] = []
    run: list[str] = []
    for character in text.casefold():
        category = unicodedata.category(character)
        if category == "Nd":
            run.append(str(unicodedata.digit(character)))
        elif category[0] in "LMN":
            run.append(character)
        elif run and category != "Cf":
            found.append("".join(run))
            run.clear()
    if run:
        found.append("".join(run))
    return [
        word[start : start + _LONGEST_WORD]
        for word in found
        for start in range(0, len(word), _LONGEST_WORD)
    ]


def hash_ngrams(word: str, buckets: int) -> npt.NDArray[np.int64]:
    """Return the rows, below ``buckets``, of the word, its n-grams, and its romanised form's.

    Sorted, each once; never empty. n-grams see the word's ends. The romanised ones (ISC-licensed
    ``anyascii``) are what names and loanwords share across scripts.
    Source: Bojanowski et al. 2017, "Enriching word vectors with subword information".
    """
    keys = {"=" + word} | _cut_into(word, _NATIVE_LENGTHS, prefix="")
    romanised = anyascii(word).lower()
    keys |= {"~=" + romanised} | _cut_into(romanised, _ROMANISED_LENGTHS, prefix="~")
    return np.unique([zlib.crc32(key.encode()) % buckets for key in keys])


def _cut_into(word: str, lengths: range, *, prefix: str) -> set[str]:
    bounded = f"<{word}>"
    return {
        prefix + bounded[start : start + length]
        for length in lengths
        for start in range(len(bounded) - length + 1)
    }
