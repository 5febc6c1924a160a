"""Re-uploads: videos whose thumbnail and title are nearly the same."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import regex

from twinlens.catalog.vectors import FloatMatrix
from twinlens.catalog.video import read_thumbnail_file, read_title
from twinlens.encoders.lenses import THUMBNAIL, WORDS
from twinlens.encoders.words import split_families, weigh_title
from twinlens.stores.base import StoredVideo

# docs/decisions/0014-recommendations.md says how these were chosen.
THUMBNAIL_ALIKE: Final = 0.9
TITLE_ALIKE: Final = 0.9
# Words and pieces of titles are hashed into this many buckets: enough to keep the cosine of like
# titles within 0.01, few enough for one matrix product.
_BUCKETS: Final = 1024
_NUMBER: Final = regex.compile(r"\p{Nd}+")


def group_duplicates(videos: Sequence[StoredVideo]) -> list[list[int]]:
    """Return groups of indices, each a video and its later duplicates, in the order of ``videos``.

    A video joins the first earlier one with nearly the same picture and title, unless that one has
    itself joined another: duplicates are not chained. Pictures match if they are the same file, or
    the cosine of their vectors is at least ``THUMBNAIL_ALIKE``; titles match if the cosine of their
    words and pieces of words is at least ``TITLE_ALIKE`` and they have the same numbers (episode 12
    is not episode 13). A video without a thumbnail or without a title joins none.
    """
    count = len(videos)
    titles = [read_title(video.payload) for video in videos]
    files = [read_thumbnail_file(video.payload) for video in videos]
    alike = _find_alike(_stack_thumbnails(videos), THUMBNAIL_ALIKE) | _find_equal(files)
    alike &= _find_equal([_find_numbers(title) for title in titles])
    np.fill_diagonal(alike, val=False)
    # Words take longest to compare, and few videos are left to compare by them.
    left = np.flatnonzero(alike.any(axis=1)).tolist()
    alike[np.ix_(left, left)] &= _find_alike(_hash_words([videos[at] for at in left]), TITLE_ALIKE)
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


def _hash_words(videos: Sequence[StoredVideo]) -> FloatMatrix:
    """Return a unit row per video's title, by the hashing trick; zeros where a title has no words.

    Source: Weinberger and others: Feature Hashing for Large Scale Multitask Learning, ICML 2009.
    """
    # A store returns them along with the other vectors, so they need not be recomputed.
    words = [video.sparse.get(WORDS) or weigh_title(read_title(video.payload)) for video in videos]
    rows = np.zeros((len(words), _BUCKETS), dtype=np.float32)
    for row, of in zip(rows, words, strict=True):
        if of is not None:
            of = split_families(of)[0]
            # The hash of a word is even in its low bits; another bit tells the sign.
            signs = np.where(of.indices & _BUCKETS, 1, -1)
            np.add.at(row, of.indices % _BUCKETS, of.values * signs)
    return _scale_to_unit(rows)


def _stack_thumbnails(videos: Sequence[StoredVideo]) -> FloatMatrix:
    found = [video.vectors.get(THUMBNAIL) for video in videos]
    dim = next((vector.size for vector in found if vector is not None), 1)
    none = np.zeros(dim, dtype=np.float32)
    return np.stack([none if vector is None else vector for vector in found] or [none])


def _find_alike(rows: FloatMatrix, least: float) -> npt.NDArray[np.bool_]:
    close: npt.NDArray[np.bool_] = rows @ rows.T >= least
    return close


def _find_equal(keys: Sequence[Hashable | None]) -> npt.NDArray[np.bool_]:
    """Return an (n, n) mask of equal ``keys``; None equals nothing, not even itself."""
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


def _scale_to_unit(rows: FloatMatrix) -> FloatMatrix:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: FloatMatrix = rows / np.maximum(lengths, np.finfo(np.float32).tiny)
    return unit
