"""Any sentence-transformers model as a title encoder, run by ONNX Runtime."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from twinlens.catalog.vectors import FloatMatrix
from twinlens.encoders.base import MOST_QUERY_TOKENS
from twinlens.encoders.onnx_export import open_graph, require_onnx
from twinlens.encoders.onnx_graph import OnnxGraph, Precision
from twinlens.encoders.sentence import SentenceEncoder


class OnnxSentenceEncoder:
    """Titles and queries by a ``SentenceEncoder``'s network, run by ONNX Runtime.

    The vectors are those of torch, to within a cosine of 0.9999 (``docs/decisions/0006``), so the
    fingerprint is the model's own, and either serves what the other has indexed. With
    ``int8_queries`` queries are encoded by an int8 graph; titles never are.

    Raises:
        EncoderUnavailable: the packages of ``twinlens[onnx]`` are missing.
    """

    def __init__(
        self,
        model: SentenceEncoder,
        *,
        cache_dir: Path,
        int8_queries: bool = False,
        threads: int | None = None,
    ) -> None:
        require_onnx()
        self._model = model
        self._cache_dir = cache_dir
        self._for_queries = Precision.INT8 if int8_queries else Precision.FLOAT32
        self._threads = threads
        self._lock = threading.Lock()
        self._graphs: dict[Precision, OnnxGraph] = {}

    @property
    def name(self) -> str:
        """The model's own."""
        return self._model.name

    @property
    def dim(self) -> int:
        """Length of its vectors."""
        return self._model.dim

    @property
    def fingerprint(self) -> str:
        """The model's own."""
        return self._model.fingerprint

    def encode(self, items: Sequence[str]) -> FloatMatrix:
        """Encode titles as a float32 array of shape (len(items), dim), rows of unit length."""
        # Whoever indexes leaves the graph that a server asks by, which may not write there.
        self._open_graph(self._for_queries)
        return self._encode(items, Precision.FLOAT32, self._model.prompts.document)

    def encode_queries(self, texts: Sequence[str]) -> FloatMatrix:
        """Encode queries likewise, with their prompt, and by the int8 graph if it was asked for."""
        return self._encode(
            texts, self._for_queries, self._model.prompts.query, most_tokens=MOST_QUERY_TOKENS
        )

    def _encode(
        self,
        texts: Sequence[str],
        precision: Precision,
        prompt: str,
        *,
        most_tokens: int | None = None,
    ) -> FloatMatrix:
        if not texts:
            return np.empty((0, self.dim), dtype=np.float32)
        return self._open_graph(precision).encode(texts, prompt, most_tokens=most_tokens)

    def _open_graph(self, precision: Precision) -> OnnxGraph:
        with self._lock:
            if precision not in self._graphs:
                self._graphs[precision] = open_graph(
                    self._model, precision, cache_dir=self._cache_dir, threads=self._threads
                )
            return self._graphs[precision]
