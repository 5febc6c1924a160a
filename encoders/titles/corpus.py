"""Parallel text made ready for training: words and n-grams as ragged arrays, targets, the split."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from twinlens.catalog.vectors import FloatMatrix
from twinlens.encoders.titles.pairs import Pair
from twinlens.encoders.titles.text import cut, find_scripts, hash_ngrams, split_words

HELD_OUT_SHARE: Final = 0.05
MIN_LINES: Final = 1000  # of a script: fewer teach it badly and measure nothing
_ENCODED_AT_ONCE: Final = 256
IntVector = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Ragged:
    """Rows of different lengths: row i is ``flat[ends[i]:ends[i + 1]]``."""

    flat: IntVector
    ends: IntVector

    @classmethod
    def from_rows(cls, rows: Sequence[Sequence[int] | IntVector]) -> Ragged:
        """``rows``, one after the other."""
        ends = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum([len(row) for row in rows], out=ends[1:])
        flat = np.empty(ends[-1], dtype=np.int64)
        for row, start, end in zip(rows, ends, ends[1:], strict=False):
            flat[start:end] = row
        return cls(flat, ends)

    def take(self, rows: IntVector) -> Ragged:
        """Return the rows of these numbers, in this order."""
        lengths = self.ends[rows + 1] - self.ends[rows]
        ends = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum(lengths, out=ends[1:])
        where = np.arange(ends[-1]) + np.repeat(self.ends[rows] - ends[:-1], lengths)
        return Ragged(self.flat[where], ends)

    def keep(self, kept: npt.NDArray[np.bool_]) -> Ragged:
        """Without the entries that are not ``kept`` (one flag per entry of ``flat``)."""
        before = np.zeros(len(self.flat) + 1, dtype=np.int64)
        np.cumsum(kept, out=before[1:])
        return Ragged(self.flat[kept], before[self.ends])


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingCorpus:
    """Lines in bridged scripts and their English; line i means ``english[i]``.

    ``titles`` are numbers of words, ``word_ngrams`` rows of the table for each word; ``script``
    numbers the names in ``scripts``; ``targets`` are unit rows; ``english`` picks one for each
    line, and ``english_words`` counts its words. ``left_out`` lines are in scripts that the base
    knows, or that have too few lines.
    """

    sources: list[str]
    titles: Ragged
    word_ngrams: Ragged
    script: IntVector
    scripts: list[str]
    english: IntVector
    english_words: IntVector
    targets: FloatMatrix
    held_out: npt.NDArray[np.bool_]
    left_out: int


def is_held_out(english: str) -> bool:
    """Return whether what means this is kept out of training, in every language: by a hash."""
    digest = hashlib.sha256(english.casefold().encode()).digest()
    return int.from_bytes(digest[:8], "big") < HELD_OUT_SHARE * 2**64


def find_main_script(text: str, known: frozenset[str]) -> str:
    """Return the script of most letters of ``text`` that is not ``known``, or ""."""
    found = Counter[str]()
    for character in text:
        found.update(find_scripts(character) - known)
    return found.most_common(1)[0][0] if found else ""


def gather_corpus(
    pairs: Iterable[Pair],
    *,
    known_scripts: frozenset[str],
    buckets: int,
    encode: Callable[[Sequence[str]], FloatMatrix],
    on_encoded: Callable[[int, int], None] | None = None,
) -> TrainingCorpus:
    """Gather the distinct ``pairs`` in scripts new to the base, with ``encode`` of the English.

    ``on_encoded`` hears how many English texts of how many are done.
    """
    distinct = dict.fromkeys((pair.source, pair.english) for pair in pairs)
    by_script = [
        (find_main_script(cut(source), known_scripts), source, text) for source, text in distinct
    ]
    lines = Counter(name for name, _, _ in by_script)
    names = sorted(name for name, count in lines.items() if name and count >= MIN_LINES)
    number = {name: position for position, name in enumerate(names)}
    kept = [row for row in by_script if row[0] in number]

    texts = sorted({text for _, _, text in kept}, key=lambda text: (len(text), text))
    targets = [np.empty((0, 0), dtype=np.float32)] if not texts else []
    for start in range(0, len(texts), _ENCODED_AT_ONCE):
        targets.append(encode(texts[start : start + _ENCODED_AT_ONCE]))
        if on_encoded is not None:
            on_encoded(min(start + _ENCODED_AT_ONCE, len(texts)), len(texts))
    row = {text: position for position, text in enumerate(texts)}

    vocabulary: dict[str, int] = {}
    titles = [
        [vocabulary.setdefault(word, len(vocabulary)) for word in split_words(cut(source))]
        for _, source, _ in kept
    ]
    return TrainingCorpus(
        sources=[source for _, source, _ in kept],
        titles=Ragged.from_rows(titles),
        word_ngrams=Ragged.from_rows([hash_ngrams(word, buckets) for word in vocabulary]),
        script=np.array([number[name] for name, _, _ in kept], dtype=np.int64),
        scripts=names,
        english=np.array([row[text] for _, _, text in kept], dtype=np.int64),
        english_words=np.array([len(text.split()) for _, _, text in kept], dtype=np.int64),
        targets=np.concatenate(targets),
        held_out=np.array([is_held_out(text) for _, _, text in kept], dtype=np.bool_),
        left_out=len(distinct) - len(kept),
    )
