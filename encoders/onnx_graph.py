"""A title model as a graph that ONNX Runtime runs."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from threading import Lock
from typing import Any, Final

import numpy as np

from twinlens.catalog.vectors import FloatMatrix, unit_rows
from twinlens.encoders.base import mend_text

GRAPH_FILE: Final = "model.onnx"
TOKENIZER_FILE: Final = "tokenizer.json"
OUTPUT: Final = "vectors"
_PADDING: Final = ("direction", "pad_id", "pad_type_id", "pad_token")
_MOST_ROWS: Final = 32
# Rows are padded to the longest of their batch. Where one more row would add more padding than
# this, all-MiniLM is sooner done with another batch.
_MOST_PADDING_TOKENS: Final = 8


class Precision(StrEnum):
    """What a graph computes with."""

    FLOAT32 = "float32"
    INT8 = "int8"  # weights, and activations by a scale that is found as they come


def open_session(graph: Path | bytes, *, threads: int | None) -> Any:
    """Return an ``onnxruntime.InferenceSession`` of a graph or its file, on the processor."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 3
    # Threads that spin while they wait take the cores from whatever else a server does.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


class OnnxGraph:
    """A graph from text to vector, with its tokenizer, opened; for any number of threads."""

    def __init__(self, directory: Path, *, precision: Precision, threads: int | None) -> None:
        from tokenizers import Tokenizer

        self._session = open_session(directory / GRAPH_FILE, threads=threads)
        self._inputs = [one.name for one in self._session.get_inputs()]
        self._tokenizer = Tokenizer.from_file(str(directory / TOKENIZER_FILE))
        kept = self._tokenizer.padding or {}
        self._padding = {name: kept[name] for name in _PADDING}
        self._truncation = self._tokenizer.truncation
        self._tokenizing = Lock()  # as how many tokens are let through is a state of it
        self._tokenizer.no_padding()  # it would pad to the longest of all, not to that of a batch
        # One scale for the activations of a whole batch would let a text's vector depend on its
        # neighbours.
        self._most_rows = 1 if precision is Precision.INT8 else _MOST_ROWS

    def encode(
        self, texts: Sequence[str], prompt: str, *, most_tokens: int | None = None
    ) -> FloatMatrix:
        """Return a float32 array of shape (len(texts), dim), rows of unit length; not for no texts.

        Of each text its first ``most_tokens`` count, where that is less than the model takes.

        Raises:
            UnencodableItems: some of ``texts`` have no finite, non-zero vector.
        """
        with self._tokenizing:
            if kept := self._truncation:
                most = min(kept["max_length"], most_tokens or kept["max_length"])
                self._tokenizer.enable_truncation(**{**kept, "max_length": most})
            found = self._tokenizer.encode_batch_fast([prompt + mend_text(text) for text in texts])
        batches = batch_by_length([len(one) for one in found], most_rows=self._most_rows)
        vectors = np.concatenate([self._run([found[row] for row in rows]) for rows in batches])
        in_order = np.empty_like(vectors)
        in_order[np.concatenate(batches)] = vectors
        return unit_rows(in_order)

    def _run(self, batch: Sequence[Any]) -> FloatMatrix:
        longest = max(len(one) for one in batch)
        for one in batch:
            one.pad(longest, **self._padding)
        columns = {
            "input_ids": [one.ids for one in batch],
            "attention_mask": [one.attention_mask for one in batch],
            "token_type_ids": [one.type_ids for one in batch],
        }
        fed = {name: np.array(columns[name], dtype=np.int64) for name in self._inputs}
        (vectors,) = self._session.run([OUTPUT], fed)
        return np.asarray(vectors, dtype=np.float32)


def batch_by_length(lengths: Sequence[int], *, most_rows: int) -> list[list[int]]:
    """Return the rows of texts of these lengths in tokens, in batches that need little padding."""
    batches: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        batch = batches[-1] if batches else []
        padding = len(batch) * (lengths[row] - lengths[batch[-1]]) if batch else 0
        if batch and len(batch) < most_rows and padding <= _MOST_PADDING_TOKENS:
            batch.append(row)
        else:
            batches.append([row])
    return batches
