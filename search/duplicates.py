"""Re-uploads: videos whose thumbnail and title are all but the same."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import regex

from twinlens.catalog.video import payload_thumbnail_file, payload_title
from twinlens.encoders.lenses import THUMBNAIL, WORDS
from twinlens.encoders.words import title_words
from twinlens.stores.base import StoredVideo

# docs/decisions/0014-recommendations.md says what these were chosen by.
THUMBNAIL_ALIKE: Final = 0.9
TITLE_ALIKE: Final = 0.9
# Titles' words and pieces, folded into so many numbers: enough that titles as like as this keep
# their cosine to 0.01, few enough for one product of matrices.
_BUCKETS: Final = 1024
_NUMBER: Final = regex.compile(r"\p{Nd}+")

Rows = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]


def group_duplicates(videos: Sequence[StoredVideo]) -> list[list[int]]:
    """Groups of places, each a video and its duplicates after it, in the order of ``videos``.

    A video joins the first of those before it whose picture and title are all but its own, unless
    that one has joined another: nothing is folded by way of a third. Pictures are the same where
    their file is, or their vectors' cosine is ``THUMBNAIL_ALIKE``; titles, where the cosine of
    their words and pieces of words is ``TITLE_ALIKE`` and they have the same numbers: episode 12 is
    not episode 13. A video without a thumbnail or without a title joins none.
    """
    count = len(videos)
    titles = [payload_title(video.payload) for video in videos]
    alike = _find_alike(_hash_words(videos), TITLE_ALIKE)
    alike &= _find_equal([_find_numbers(title) for title in titles])
    files = [payload_thumbnail_file(video.payload) for video in videos]
    alike &= _find_alike(_stack_thumbnails(videos), THUMBNAIL_ALIKE) | _find_equal(files)
    joined = np.zeros(count, dtype=np.bool_)
    groups = []
    for place in range(count):
        if joined[place]:
            continue
        after = np.flatnonzero(alike[place, place + 1 :] & ~joined[place + 1 :]) + place + 1
        joined[after] = True
        groups.append([place, *after.tolist()])
    return groups


def _find_numbers(title: str) -> Hashable:
    return frozenset(Counter(_NUMBER.findall(unicodedata.normalize("NFKC", title))).items())


def _hash_words(videos: Sequence[StoredVideo]) -> Rows:
    """A unit row per video's title, by the hashing trick; zeros where a title has no words.

    Source: Weinberger and others: Feature Hashing for Large Scale Multitask Learning, ICML 2009.
    """
    # A store has them at hand where it was asked for vectors.
    words = [
        video.sparse.get(WORDS) or title_words(payload_title(video.payload)) for video in videos
    ]
    rows = np.zeros((len(words), _BUCKETS), dtype=np.float32)
    for row, of in zip(rows, words, strict=True):
        if of is not None:
            # The hash of a word is even in its low bits; another bit tells the sign.
            signs = np.where(of.indices & _BUCKETS, 1, -1)
            np.add.at(row, of.indices % _BUCKETS, of.values * signs)
    return _scale_to_unit(rows)


def _stack_thumbnails(videos: Sequence[StoredVideo]) -> Rows:
    found = [video.vectors.get(THUMBNAIL) for video in videos]
    dim = next((vector.size for vector in found if vector is not None), 1)
    none = np.zeros(dim, dtype=np.float32)
    return np.stack([none if vector is None else vector for vector in found] or [none])


def _find_alike(rows: Rows, least: float) -> npt.NDArray[np.bool_]:
    close: npt.NDArray[np.bool_] = rows @ rows.T >= least
    return close


def _find_equal(keys: Sequence[Hashable | None]) -> npt.NDArray[np.bool_]:
    """Which of ``keys`` are the same; None is not even itself."""
    numbered: dict[Hashable, int] = {}
    ids = np.array(
        [
            -at - 1 if key is None else numbered.setdefault(key, len(numbered))
            for at, key in enumerate(keys)
        ],
        dtype=np.int64,
    )
    same: npt.NDArray[np.bool_] = ids[:, None] == ids[None, :]
    return same


def _scale_to_unit(rows: Rows) -> Rows:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Rows = rows / np.maximum(lengths, np.finfo(np.float32).tiny)
    return unit
