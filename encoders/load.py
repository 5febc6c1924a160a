"""From what a person typed to an encoder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from twinlens.catalog.errors import EncoderUnavailable
from twinlens.encoders.base import ThumbnailEncoder, TitleEncoder
from twinlens.encoders.runtimes import TitleRuntime

PACKAGED: Final = "packaged:"
OFFLINE_TITLE_MODEL: Final = "packaged:e5-small"  # where no model hub is in reach
OFFLINE_TITLE_MODELS: Final = (
    OFFLINE_TITLE_MODEL,
    "packaged:use-m3-bridge",
    "packaged:use-m3",
    "packaged:minilm",
)
PACKAGED_DENOISER: Final = "packaged:denoiser"
# OWNER/NAME, or the bare NAME of sentence-transformers' own; anything else is a path.
_HUB_NAME: Final = re.compile(r"(?:[\w-][\w.-]*/)?[\w-][\w.-]*")


def load_title_encoder(
    name: str,
    *,
    threads: int | None = None,
    runtime: TitleRuntime = "torch",
    cache_dir: Path | None = None,
) -> TitleEncoder:
    """Return the title encoder called ``name``.

    It is a packaged one, a directory that ``twinlens train-titles`` wrote, or a
    sentence-transformers name or path. ``runtime`` is what runs the last kind; graphs of ONNX are
    kept in ``cache_dir``. Nothing heavy is loaded before the first ``encode``.

    Raises:
        EncoderUnavailable: there is no packaged encoder of this name, its package or that of the
            runtime is missing, or this encoder has no such runtime.
    """
    if not name.strip():
        raise EncoderUnavailable(
            f"no title model is named; there are {', '.join(OFFLINE_TITLE_MODELS)}, any "
            "sentence-transformers name, or a path"
        )
    light = _load_light_encoder(name, threads=threads, cache_dir=cache_dir)
    if light is not None:
        if runtime != "torch":
            raise EncoderUnavailable(
                f"{name} is not a sentence-transformers model, and has a fast runtime of its own: "
                f"leave title_runtime {runtime} out"
            )
        return light
    from twinlens.encoders.sentence import SentenceEncoder, find_packaged_minilm

    if name == "packaged:minilm":
        model = SentenceEncoder(str(find_packaged_minilm()), name=name, threads=threads)
    elif name.startswith(PACKAGED):
        raise EncoderUnavailable(
            f"no packaged title model {name!r}; there are {', '.join(OFFLINE_TITLE_MODELS)}"
        )
    else:
        model = SentenceEncoder(name, threads=threads)
    if runtime == "torch":
        return model
    if cache_dir is None:
        raise ValueError("a graph needs a cache_dir to be kept in")
    from twinlens.encoders.onnx_sentence import OnnxSentenceEncoder

    return OnnxSentenceEncoder(
        model, cache_dir=cache_dir, int8_queries=runtime == "onnx-int8", threads=threads
    )


def _load_light_encoder(
    name: str, *, threads: int | None, cache_dir: Path | None
) -> TitleEncoder | None:
    """Return the title encoder of this name that never needs torch, if it is one of those."""
    if name == OFFLINE_TITLE_MODEL:
        from twinlens.encoders.e5.encoder import SmallE5Encoder

        return SmallE5Encoder(cache_dir=cache_dir, threads=threads)
    if name == "packaged:use-m3":
        from twinlens.encoders.use import UniversalSentenceEncoder

        return UniversalSentenceEncoder()
    if name == "packaged:use-m3-bridge":
        from twinlens.encoders.titles import PACKAGED_BRIDGE

        return _load_bridged(PACKAGED_BRIDGE, name=name)
    from twinlens.encoders.titles.packing import is_bridge

    path = Path(name)
    return _load_bridged(path, name=str(path.absolute())) if is_bridge(path) else None


def _load_bridged(directory: Path, *, name: str) -> TitleEncoder:
    from twinlens.encoders.titles import BridgedTitleEncoder
    from twinlens.encoders.use import UniversalSentenceEncoder

    return BridgedTitleEncoder(directory, name=name, base=UniversalSentenceEncoder())


def load_thumbnail_encoder(name: str, *, threads: int | None = None) -> ThumbnailEncoder:
    """Return the thumbnail encoder called ``name``.

    ``packaged:denoiser``, a directory written by ``twinlens train-thumbnails``, or a CLIP model of
    sentence-transformers by its directory or its name on the hub.

    Raises:
        EncoderUnavailable: no such model, or its files are incomplete.
    """
    from twinlens.encoders.thumbnails import PACKAGED_MODEL, DenoisingAutoencoder

    if name == PACKAGED_DENOISER:
        return DenoisingAutoencoder(PACKAGED_MODEL, name=name, threads=threads)
    if name.startswith(PACKAGED):
        raise EncoderUnavailable(
            f"no packaged thumbnail model {name!r}; there is {PACKAGED_DENOISER}"
        )
    path = Path(name)
    if (path / "modules.json").is_file() or (not path.is_dir() and _HUB_NAME.fullmatch(name)):
        from twinlens.encoders.clip import ClipEncoder

        return ClipEncoder(name, threads=threads)
    return DenoisingAutoencoder(path, name=str(path.absolute()), threads=threads)
