"""The bridge's network at work, in NumPy: words in, vectors of the base's space out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from twinlens.catalog.vectors import FloatMatrix, Vector
from twinlens.encoders.titles.packing import PackedBridge, read_weights
from twinlens.encoders.titles.text import hash_ngrams

_CHUNK: Final = 256  # titles per product: bounds memory
_CACHED_WORDS: Final = 20_000  # 20 MB at 256 numbers a word


class CharacterBridge:
    """A deep averaging network over words, and words are sums over their character n-grams.

    Source: Iyyer et al. 2015, "Deep unordered composition rivals syntactic methods".

    Raises:
        EncoderUnavailable: the weights can't be read, or don't fit the config.
    """

    def __init__(self, packed: PackedBridge) -> None:
        self._weights = read_weights(packed)
        self._shape = packed.shape
        self._word = lru_cache(maxsize=_CACHED_WORDS)(self._embed_word)

    def encode(self, titles: Sequence[Sequence[str]]) -> FloatMatrix:
        """Encode titles, each as its words (at least one), as (len(titles), dim); lengths vary."""
        vectors = np.empty((len(titles), self._shape.dim), dtype=np.float32)
        for start in range(0, len(titles), _CHUNK):
            chunk = titles[start : start + _CHUNK]
            sums = np.stack(
                [
                    np.sum([self._word(word) for word in words], axis=0) / np.sqrt(len(words))
                    for words in chunk
                ]
            )  # (B, width)
            vectors[start : start + len(chunk)] = self._project(sums)
        return vectors

    def _embed_word(self, word: str) -> Vector:
        """Return a word's vector of ``width`` numbers, scaled by how much it counts in a title."""
        rows = hash_ngrams(word, self._shape.buckets)
        table, scale = self._weights["ngrams.weight"], self._weights["ngrams.scale"]
        vector = scale[rows] @ table[rows].astype(np.float32) / np.sqrt(np.float32(len(rows)))
        vector = self._normalize(vector, "word_norm")
        importance = self._weights["importance.weight"][0] @ vector
        scaled: Vector = vector * np.exp(importance + self._weights["importance.bias"][0])
        return scaled

    def _project(self, sums: FloatMatrix) -> FloatMatrix:
        titles = self._normalize(sums, "title_norm")
        hidden = _gelu(self._apply_linear(titles, "hidden"))
        return self._apply_linear(titles, "direct") + self._apply_linear(hidden, "hidden_out")

    def _apply_linear(self, rows: FloatMatrix, name: str) -> FloatMatrix:
        out: FloatMatrix = rows @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]
        return out

    def _normalize(self, rows: npt.NDArray[np.float32], name: str) -> npt.NDArray[np.float32]:
        centred = rows - rows.mean(axis=-1, keepdims=True)
        deviation = np.sqrt(np.mean(centred**2, axis=-1, keepdims=True) + 1e-5)
        out: npt.NDArray[np.float32] = (
            centred / deviation * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]
        )
        return out


def _gelu(values: FloatMatrix) -> FloatMatrix:
    """GELU in its tanh form. Source: Hendrycks & Gimpel 2016, "Gaussian error linear units"."""
    inner = np.sqrt(2 / np.pi).astype(np.float32) * (values + 0.044715 * values**3)
    out: FloatMatrix = 0.5 * values * (1 + np.tanh(inner))
    return out
