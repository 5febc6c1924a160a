"""A sentence-transformers model as it is found: on disk, in the hub's cache, or on the hub."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from twinlens.catalog.errors import EncoderError, EncoderUnavailable
from twinlens.catalog.vectors import FloatMatrix, unit_rows
from twinlens.encoders.fingerprints import digest_files

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_WEIGHT_AND_CONFIG_SUFFIXES: Final = {".json", ".safetensors", ".bin", ".txt", ".model"}
_HUB_TIMEOUT_S: Final = 10.0
_BATCH_SIZE: Final = 32
_LEAST_WORDS: Final = 2  # an empty T5 tokenizer has one


class ModelFiles:
    """The files of a model, and the model once it is loaded; for any number of threads.

    A model's directory goes by its absolute path, so that its name holds wherever it is read.
    ``role`` and ``instead`` stand in messages: what it was to do, and what else would.

    Raises:
        EncoderUnavailable: what loads such models is not installed.
    """

    def __init__(
        self,
        model: str,
        *,
        role: str,
        instead: str,
        name: str | None = None,
        threads: int | None = None,
    ) -> None:
        if find_spec("sentence_transformers") is None:
            raise EncoderUnavailable(
                f"the {role} model {name or model!r} needs sentence-transformers: "
                f"pip install 'twinlens[hub]'. {instead}"
            )
        self.local = Path(model).is_dir()
        self.source = str(Path(model).absolute()) if self.local else model
        self.name = name or self.source
        self._role = role
        self._instead = instead
        self._threads = threads
        self._lock = threading.Lock()
        self._cutting = threading.Lock()
        self._loaded: SentenceTransformer | None = None

    @cached_property
    def digest(self) -> str:
        """Identity of all files; fetches what isn't there yet."""
        directory = self.find_directory()
        if directory is None:
            self.get_model()
            directory = self.find_directory()
        if directory is None:
            raise EncoderError(f"{self.name}: its files can't be found in the hub cache")
        if self.local:
            files = [
                file
                for file in directory.rglob("*")
                if file.is_file() and file.suffix in _WEIGHT_AND_CONFIG_SUFFIXES
            ]
            return digest_files(directory, files)
        return directory.name  # the hub's commit, which covers every file

    def find_directory(self) -> Path | None:
        """Return where the model's files are, or None while they are only on the hub."""
        if self.local:
            return Path(self.source)
        file = self.find_cached("modules.json")
        if file is False:  # a plain transformers model
            file = self.find_cached("config.json")
        return file.parent if file else None

    def find_cached(self, name: str) -> Path | Literal[False] | None:
        """Find the file in the hub's cache; False: the hub has none; None: it can't tell."""
        from huggingface_hub import _CACHED_NO_EXIST, try_to_load_from_cache
        from huggingface_hub.errors import HFValidationError

        try:
            cached = try_to_load_from_cache(self.source, name)
        except HFValidationError as error:
            raise EncoderUnavailable(self._explain(error)) from error
        if cached is _CACHED_NO_EXIST:
            return False
        return Path(cached) if isinstance(cached, str) else None

    def get_model(self) -> SentenceTransformer:
        """Return the model, loaded by the first call.

        Raises:
            EncoderUnavailable: it can't be had; the message says why.
        """
        with self._lock:
            if self._loaded is None:
                self._loaded = self.load()
            return self._loaded

    def encode(
        self, items: list[Any], *, prompt: str | None = None, most_tokens: int | None = None
    ) -> FloatMatrix:
        """Return what the model makes of ``items``, not of none: float32, rows of unit length.

        Of each text its first ``most_tokens`` count, where that is less than the model takes.
        """
        model = self.get_model()
        with self._cut(model, most_tokens):
            vectors = model.encode(
                items,
                prompt=prompt,
                batch_size=_BATCH_SIZE,
                convert_to_numpy=True,
                show_progress_bar=False,
            )
        return unit_rows(np.asarray(vectors))

    @contextmanager
    def _cut(self, model: SentenceTransformer, most_tokens: int | None) -> Iterator[None]:
        """Let the model take so many tokens inside, if it takes more; one thread at a time."""
        if most_tokens is None:
            yield
            return
        with self._cutting:
            own = model.max_seq_length
            model.max_seq_length = most_tokens if own is None else min(own, most_tokens)
            try:
                yield
            finally:
                model.max_seq_length = own

    def read_dim(self) -> int:
        """Length of the model's vectors; loads it.

        Raises:
            EncoderError: the model does not say.
        """
        found = self.get_model().get_embedding_dimension()
        if found is None:
            raise EncoderError(f"{self.name} does not say how long its vectors are")
        return int(found)

    def load(self) -> SentenceTransformer:
        """Return the model, loaded by every call: the caller's own, to let go of.

        Raises:
            EncoderUnavailable: as ``get_model``.
        """
        import torch
        from sentence_transformers import SentenceTransformer
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()  # type: ignore[no-untyped-call]  # its bar of weights would break into the job's own
        if self._threads is not None:
            torch.set_num_threads(self._threads)
        directory = self.find_directory()
        # The loaders raise OSError, ValueError, HTTP and parser errors alike.
        broken: Exception | None = None
        if directory is not None:
            try:
                return _require_words(SentenceTransformer(str(directory)))
            except Exception as error:
                if self.local:
                    raise EncoderUnavailable(self._explain(error)) from error
                broken = error
        try:
            self._require_on_hub()
            # A download that was cut short is completed, not exchanged: the fingerprint may have
            # been taken from it.
            return _require_words(
                SentenceTransformer(self.source, revision=directory and directory.name)
            )
        except Exception as error:
            raise EncoderUnavailable(self._explain(broken or error)) from error

    def _require_on_hub(self) -> None:
        """Ask the hub once: its own loaders retry for a minute before they say it is away."""
        from huggingface_hub import HfApi

        HfApi().model_info(self.source, timeout=_HUB_TIMEOUT_S)

    def _explain(self, error: Exception) -> str:
        where = "" if self.local else "there is no such directory, and as a model of the hub: "
        return (
            f"the {self._role} model {self.name!r} can't be loaded ({where}{quote_error(error)}). "
            f"{self._instead}"
        )


def _require_words(model: SentenceTransformer) -> SentenceTransformer:
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


def quote_error(error: Exception) -> str:
    """Return what ``error`` says, as far as it fits a message of ours."""
    return (str(error) or repr(error)).strip().splitlines()[0]
