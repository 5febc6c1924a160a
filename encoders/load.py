"""From what a person typed to an encoder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from catalog.errors import EncoderUnavailable
from encoders.base import ThumbnailEncoder, TitleEncoder

PACKAGED: Final = "packaged:"
OFFLINE_TITLE_MODELS: Final = ("packaged:use-m3-bridge", "packaged:use-m3", "packaged:minilm")
PACKAGED_DENOISER: Final = "packaged:denoiser"
# OWNER/NAME, or the bare NAME of sentence-transformers' own; anything else is a path.
_HUB_NAME: Final = re.compile(r"(?:[\w-][\w.-]*/)?[\w-][\w.-]*")


def load_title_encoder(name: str, *, threads: int | None = None) -> TitleEncoder:
    """The title encoder called ``name``.

    It is a packaged one, a directory that ``twinlens train-titles`` wrote, or a
    sentence-transformers name or path.

    Nothing heavy is loaded before the first ``encode``.

    Raises:
        EncoderUnavailable: there is no packaged encoder of this name, or its package is missing.
    """
    if name == "packaged:use-m3":
        from encoders.use import UniversalSentenceEncoder

        return UniversalSentenceEncoder(threads=threads)
    if name == "packaged:use-m3-bridge":
        from encoders.titles import PACKAGED_BRIDGE

        return _bridged(PACKAGED_BRIDGE, name=name, threads=threads)
    if not name.strip():
        raise EncoderUnavailable(
            f"no title model is named; there are {', '.join(OFFLINE_TITLE_MODELS)}, any "
            "sentence-transformers name, or a path"
        )
    from encoders.sentence import SentenceEncoder, packaged_minilm

    if name == "packaged:minilm":
        return SentenceEncoder(str(packaged_minilm()), name=name, threads=threads)
    if name.startswith(PACKAGED):
        raise EncoderUnavailable(
            f"no packaged title model {name!r}; there are {', '.join(OFFLINE_TITLE_MODELS)}"
        )
    from encoders.titles.packing import is_bridge

    if is_bridge(Path(name)):
        return _bridged(Path(name), name=str(Path(name).absolute()), threads=threads)
    return SentenceEncoder(name, threads=threads)


def _bridged(directory: Path, *, name: str, threads: int | None) -> TitleEncoder:
    from encoders.titles import BridgedTitleEncoder
    from encoders.use import UniversalSentenceEncoder

    return BridgedTitleEncoder(directory, name=name, base=UniversalSentenceEncoder(threads=threads))


def load_thumbnail_encoder(name: str, *, threads: int | None = None) -> ThumbnailEncoder:
    """The thumbnail encoder called ``name``.

    ``packaged:denoiser``, a directory written by ``twinlens train-thumbnails``, or a CLIP model of
    sentence-transformers by its directory or its name on the hub.

    Raises:
        EncoderUnavailable: no such model, or its files are incomplete.
    """
    from encoders.thumbnails import PACKAGED_MODEL, DenoisingAutoencoder

    if name == PACKAGED_DENOISER:
        return DenoisingAutoencoder(PACKAGED_MODEL, name=name, threads=threads)
    if name.startswith(PACKAGED):
        raise EncoderUnavailable(
            f"no packaged thumbnail model {name!r}; there is {PACKAGED_DENOISER}"
        )
    path = Path(name)
    if (path / "modules.json").is_file() or (not path.is_dir() and _HUB_NAME.fullmatch(name)):
        from encoders.clip import ClipEncoder

        return ClipEncoder(name, threads=threads)
    return DenoisingAutoencoder(path, name=str(path.absolute()), threads=threads)
