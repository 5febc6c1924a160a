"""A bridge as it lies on disk: ``model.safetensors`` and ``config.json`` in one directory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from twinlens.catalog.errors import EncoderUnavailable
from twinlens.encoders import model_directory
from twinlens.encoders.model_directory import WEIGHTS_NAME, ModelFormat
from twinlens.encoders.titles.text import PREPROCESSING_VERSION

_FORMAT: Final = ModelFormat(
    name="twinlens-title-bridge",
    preprocessing_version=PREPROCESSING_VERSION,
    kind="bridge",
    command="train-titles",
)
Weights = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class BridgeShape:
    """``buckets`` rows of ``width`` numbers for n-grams, ``hidden`` units, ``dim`` of the base."""

    buckets: int = 130_000
    width: int = 160
    hidden: int = 512
    dim: int = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedBridge:
    """What is known of a bridge before its weights are loaded.

    ``fingerprint`` covers weights, shape, scripts and preprocessing, but not the base.
    """

    directory: Path
    fingerprint: str
    base: str
    base_fingerprint: str
    scripts: frozenset[str]
    shape: BridgeShape


def is_bridge(directory: Path) -> bool:
    """Return whether the config in ``directory`` says that it is a bridge's."""
    return _FORMAT.matches(directory)


def read_bridge(directory: Path) -> PackedBridge:
    """Return what lies in ``directory``; its weights are read only for their digest.

    Raises:
        EncoderUnavailable: a file is missing, or it is not a bridge of this version.
    """

    def parse(config: Any) -> PackedBridge:
        scripts = sorted(str(script) for script in config["scripts"])
        return PackedBridge(
            directory=directory,
            fingerprint=_FORMAT.make_fingerprint(directory, config["shape"], scripts),
            base=str(config["base"]),
            base_fingerprint=str(config["base_fingerprint"]),
            scripts=frozenset(scripts),
            shape=BridgeShape(**config["shape"]),
        )

    return _FORMAT.read_config(directory, parse)


def read_weights(bridge: PackedBridge) -> Weights:
    """Return the arrays by their names; the table of n-grams is int8 with a float32 scale per row.

    Raises:
        EncoderUnavailable: the file can't be read, or doesn't fit the config.
    """
    weights: Weights = model_directory.read_weights(bridge.directory)
    shape = bridge.shape
    layers = {
        "word_norm": (shape.width,),
        "importance": (1, shape.width),
        "title_norm": (shape.width,),
        "hidden": (shape.hidden, shape.width),
        "hidden_out": (shape.dim, shape.hidden),
        "direct": (shape.dim, shape.width),
    }
    expected: dict[str, tuple[int, ...]] = {
        "ngrams.weight": (shape.buckets, shape.width),
        "ngrams.scale": (shape.buckets,),
        **{f"{name}.weight": sides for name, sides in layers.items()},
        **{f"{name}.bias": sides[:1] for name, sides in layers.items()},
    }
    found = {name: array.shape for name, array in weights.items()}
    if found != expected:
        wrong = sorted(name for name in found | expected if found.get(name) != expected.get(name))
        raise EncoderUnavailable(
            f"the weights in {bridge.directory / WEIGHTS_NAME} don't fit its config: "
            f"{', '.join(wrong)}"
        )
    return weights


def write_bridge(
    directory: Path,
    *,
    weights: Mapping[str, npt.NDArray[np.float32]],
    shape: Mapping[str, int],
    base: str,
    base_fingerprint: str,
    scripts: Sequence[str],
    training: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
) -> None:
    """Write weights, config and curve; each file is replaced in one step.

    The table of n-grams is rounded to int8, every row to its own scale; the rest stays float32.
    """
    packed: Weights = {name: np.ascontiguousarray(array) for name, array in weights.items()}
    table = packed["ngrams.weight"]
    scale = np.maximum(np.abs(table).max(axis=1), 1e-12) / 127
    packed["ngrams.weight"] = np.rint(table / scale[:, None]).astype(np.int8)
    packed["ngrams.scale"] = scale.astype(np.float32)
    about = {
        "base": base,
        "base_fingerprint": base_fingerprint,
        "scripts": sorted(scripts),
        "shape": dict(shape),
    }
    _FORMAT.write(directory, weights=save(packed), about=about, training=training, history=history)
