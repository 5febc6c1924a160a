"""Queries that no video fits: letters at random in the scripts of people, and other titles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import regex

from twinlens.evaluate.known_items import KEYBOARD, TitleHolders, find_script, split_typed_words
from twinlens.evaluate.tasks import Corpus

_Kind = Callable[[Sequence[str], np.random.Generator], str]
NONSENSE: Final = "nonsense"
OFF_CATALOGUE: Final = "off the catalogue"
_CLUSTER: Final = regex.compile(r"\p{L}\p{M}*")
_MOST_WORDS: Final = 4
_LONGEST: Final = 8
# Of a script with fewer words, what is drawn would be like the words themselves.
_LEAST_WORDS: Final = 15


def make_nonsense(titles: Sequence[str], *, limit: int, seed: int) -> list[str]:
    """Return texts that mean nothing, in turn of each script that ``titles`` are in.

    They are letters drawn as often as titles have them, the letters of words shuffled, syllables
    said twice, and of Latin letters what a hand gives that falls on a keyboard. None is a word of a
    title.
    """
    rng = np.random.default_rng([seed, 1])
    words: dict[str, list[str]] = {}
    for title in titles:
        for word in split_typed_words(title):
            if script := find_script(word):
                words.setdefault(script, []).append(word)
    known = {word.casefold() for of in words.values() for word in of}
    scripts = sorted(script for script, of in words.items() if len(set(of)) >= _LEAST_WORDS)
    kinds: dict[str, list[_Kind]] = {
        script: [_draw_letters, _shuffle_word, _repeat] for script in scripts
    }
    if "LATIN" in kinds:
        kinds["LATIN"] = [*kinds["LATIN"], _hit_keys]
    made: list[str] = []
    while scripts and len(made) < limit:
        script = scripts[len(made) % len(scripts)]
        kind = kinds[script][int(rng.integers(len(kinds[script])))]
        several = range(int(rng.integers(1, _MOST_WORDS, endpoint=True)))
        text = [kind(words[script], rng) for _ in several]
        if all(word and word.casefold() not in known for word in text):
            made.append(" ".join(text))
    return made


def find_off_catalogue(
    corpus: Corpus, others: Sequence[str], *, limit: int, seed: int
) -> list[str]:
    """Return titles of other catalogues, or their first words, that no title of this one holds."""
    rng = np.random.default_rng([seed, 2])
    titles = {video.video_id: video.title for video in corpus.videos if video.title is not None}
    holders = TitleHolders(titles)
    made: list[str] = []
    for at in rng.permutation(len(others)):
        words = split_typed_words(others[at])
        several = int(rng.integers(2, _LONGEST, endpoint=True))
        text = " ".join(words[:several])
        if len(words) > 1 and not holders.find(text):
            made.append(text)
        if len(made) == limit:
            break
    return made


def _draw_letters(words: Sequence[str], rng: np.random.Generator) -> str:
    letters = [_draw_letter(words, rng) for _ in range(int(rng.integers(3, _LONGEST)))]
    return "".join(letters)


def _shuffle_word(words: Sequence[str], rng: np.random.Generator) -> str:
    letters = _CLUSTER.findall(words[int(rng.integers(len(words)))])
    return "".join(rng.permutation(letters)) if len(set(letters)) > 2 else ""


def _repeat(words: Sequence[str], rng: np.random.Generator) -> str:
    syllable = _draw_letter(words, rng) + _draw_letter(words, rng)
    return syllable * int(rng.integers(2, 3, endpoint=True))


def _hit_keys(_: Sequence[str], rng: np.random.Generator) -> str:
    row = KEYBOARD[int(rng.integers(len(KEYBOARD)))]
    return "".join(rng.choice(list(row), int(rng.integers(4, _LONGEST, endpoint=True))))


def _draw_letter(words: Sequence[str], rng: np.random.Generator) -> str:
    letters = _CLUSTER.findall(words[int(rng.integers(len(words)))])
    return str(rng.choice(letters)) if letters else ""
