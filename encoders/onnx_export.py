"""Sentence-transformers models as ONNX graphs: exported once, checked, and kept in a cache."""

from __future__ import annotations

import logging
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from twinlens.catalog.errors import EncoderError, EncoderUnavailable
from twinlens.catalog.vectors import FloatMatrix, unit_rows
from twinlens.encoders.graph_cache import ensure_made
from twinlens.encoders.model_files import quote_error
from twinlens.encoders.onnx_graph import GRAPH_FILE, OUTPUT, TOKENIZER_FILE, OnnxGraph, Precision
from twinlens.encoders.sentence import SentenceEncoder

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

# The least cosine between the vectors of a graph and those it stands for, over the texts below. An
# int8 graph that falls under its own would spoil the search; that of all-MiniLM has 0.97.
LEAST_COSINE: Final = {Precision.FLOAT32: 0.9999, Precision.INT8: 0.9}
_CHECKED_WITH: Final = (
    "Sri Lanka v India: T20 HIGHLIGHTS",
    "කොත්තු රොටි හදන හැටි",
    "சமையல் குறிப்புகள்",
    "😂🔥 #shorts",
    "a title that is far too long " * 100,
)
# Another number, another folder: to be raised when what is exported changes.
_FORMAT: Final = 1
_PACKAGES: Final = ("onnx", "onnxruntime", "onnxscript")
_MODULES: Final = {"Transformer", "Pooling", "Dense", "LayerNorm", "Normalize"}
_INPUTS: Final = {"input_ids", "attention_mask", "token_type_ids"}
_NO_LIMIT: Final = 1_000_000  # tokenizers that know no limit say 10**30


def require_onnx() -> None:
    """Return if what exports and runs graphs is installed.

    Raises:
        EncoderUnavailable: it is not.
    """
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise EncoderUnavailable(
            f"title_runtime onnx needs {', '.join(missing)}: pip install 'twinlens[onnx]'"
        )


def open_graph(
    model: SentenceEncoder, precision: Precision, *, cache_dir: Path, threads: int | None
) -> OnnxGraph:
    """Return the graph of ``model``; where ``cache_dir`` has none yet, it is exported to it.

    That takes seconds. Of several processes one exports, and the others wait for it.

    Raises:
        EncoderUnavailable: it can't be exported, kept or read.
        EncoderError: its vectors are too far from those of the model.
    """
    try:
        directory = _ensure_exported(model, precision, cache_dir=cache_dir)
    except OSError as error:
        raise EncoderUnavailable(
            f"{model.name}: its ONNX graph can't be kept in {cache_dir} ({error.strerror}); make "
            "it writable, or use the model with title_runtime torch"
        ) from error
    try:
        return OnnxGraph(directory, precision=precision, threads=threads)
    except Exception as error:  # the runtime and the tokenizer raise their own kinds
        raise EncoderUnavailable(
            f"{model.name}: its ONNX graph can't be read ({quote_error(error)}); delete the folder "
            f"{directory}, and it is exported again"
        ) from error


def _ensure_exported(model: SentenceEncoder, precision: Precision, *, cache_dir: Path) -> Path:
    """Return the folder of the graph, which is there whole or not at all."""
    name = f"{model.fingerprint}-{precision}-{_FORMAT}"
    directory = cache_dir / name
    if directory.is_dir():
        return directory
    if precision is Precision.FLOAT32:
        return ensure_made(directory, lambda making: _export(model, making))
    exact = _ensure_exported(model, Precision.FLOAT32, cache_dir=cache_dir)
    return ensure_made(directory, lambda making: _quantize(model, exact, making))


def _export(model: SentenceEncoder, directory: Path) -> None:
    """Write the float32 graph, from tokens to vectors, and the tokenizer."""
    import torch

    loaded = model.load()
    _save_tokenizer(model, loaded, directory)
    # Two rows of unlike length, so that nothing is taken for constant.
    features = loaded.preprocess(["a short title", "a title that is a little longer"])
    columns = {name: column for name, column in features.items() if torch.is_tensor(column)}
    strangers = sorted(columns.keys() - _INPUTS)
    if strangers:
        raise _make_error(model, f"its network asks for {', '.join(strangers)}")
    axes = {0: torch.export.Dim("titles"), 1: torch.export.Dim("tokens")}
    try:
        with _silence_exporters():
            torch.onnx.export(
                _wrap_for_tensors(loaded, list(columns)),
                tuple(columns.values()),
                directory / GRAPH_FILE,
                input_names=list(columns),
                output_names=[OUTPUT],
                dynamic_shapes=((axes,) * len(columns),),
                dynamo=True,
                external_data=True,  # one file may have no more than 2 GB
                verbose=False,
            )
    except Exception as error:  # whatever is in the network
        raise _make_error(model, quote_error(error)) from error
    graph = OnnxGraph(directory, precision=Precision.FLOAT32, threads=None)
    for prompt in dict.fromkeys(model.prompts):
        wanted = loaded.encode(list(_CHECKED_WITH), prompt=prompt or None, show_progress_bar=False)
        _check(model, Precision.FLOAT32, graph.encode(_CHECKED_WITH, prompt), unit_rows(wanted))


def _quantize(model: SentenceEncoder, exact: Path, directory: Path) -> None:
    """Write the int8 graph of the float32 one in ``exact``, and the tokenizer."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    graph = onnx.load(exact / GRAPH_FILE)
    # The exporter's notes of shapes are wrong of weights that it turned: those of a Dense layer.
    graph.graph.ClearField("value_info")
    with _silence_exporters():
        quantize_dynamic(
            graph,
            directory / GRAPH_FILE,
            weight_type=QuantType.QInt8,
            per_channel=True,
            # Seven bits of eight: processors without VNNI would overflow.
            reduce_range=True,
        )
    shutil.copyfile(exact / TOKENIZER_FILE, directory / TOKENIZER_FILE)
    prompt = model.prompts.query
    found, wanted = (
        OnnxGraph(folder, precision=precision, threads=None).encode(_CHECKED_WITH, prompt)
        for folder, precision in ((directory, Precision.INT8), (exact, Precision.FLOAT32))
    )
    _check(model, Precision.INT8, found, wanted)


def _save_tokenizer(model: SentenceEncoder, loaded: SentenceTransformer, directory: Path) -> None:
    """Write the tokenizer, which needs no transformers from then on, with its limit and padding.

    Raises:
        EncoderUnavailable: the model has other modules than those that are known to work.
    """
    from tokenizers import Tokenizer

    modules = [type(module).__name__ for module in loaded]
    if modules[:1] != ["Transformer"] or not _MODULES.issuperset(modules):
        raise _make_error(model, f"it is made of {', '.join(modules)}")
    theirs = loaded.tokenizer
    if not getattr(theirs, "is_fast", False) or theirs.pad_token is None:
        raise _make_error(model, "its tokenizer is none of the library tokenizers, or can't pad")
    tokenizer = Tokenizer.from_str(theirs.backend_tokenizer.to_str())
    limit = loaded.max_seq_length
    if limit is not None and limit < _NO_LIMIT:
        tokenizer.enable_truncation(int(limit), direction=theirs.truncation_side)
    tokenizer.enable_padding(
        direction=theirs.padding_side,
        pad_id=theirs.pad_token_id,
        pad_type_id=theirs.pad_token_type_id,
        pad_token=theirs.pad_token,
    )
    tokenizer.save(str(directory / TOKENIZER_FILE))


def _wrap_for_tensors(model: SentenceTransformer, names: list[str]) -> torch.nn.Module:
    """``model`` from its columns of tokens, one argument each, to its vectors."""
    import torch

    class OnTensors(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *columns: torch.Tensor) -> torch.Tensor:
            features = dict(zip(names, columns, strict=True))
            vectors: torch.Tensor = self.model(features)["sentence_embedding"]
            return vectors

    return OnTensors().eval()


def _check(
    model: SentenceEncoder, precision: Precision, found: FloatMatrix, wanted: FloatMatrix
) -> None:
    cosine = float((found * wanted).sum(axis=1).min())
    if not cosine >= LEAST_COSINE[precision]:
        raise EncoderError(
            f"{model.name}: vectors of its {precision} ONNX graph are too far from its own (cosine "
            f"{cosine:.4f}, at least {LEAST_COSINE[precision]}); choose another title_runtime"
        )


def _make_error(model: SentenceEncoder, reason: str) -> EncoderUnavailable:
    return EncoderUnavailable(
        f"{model.name} can't be exported to ONNX: {reason}; use it with title_runtime torch"
    )


@contextmanager
def _silence_exporters() -> Iterator[None]:
    """Keep the exporters' notes, on what is none of an operator's business, off standard error."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    # The quantizer logs by functions that set up the root logger where it has no handler.
    nowhere = logging.NullHandler()
    logging.root.addHandler(nowhere)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.root.removeHandler(nowhere)
        logging.disable(disabled)
