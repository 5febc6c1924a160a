"""A bridge as it lies on disk: ``model.safetensors`` and ``config.json`` in one directory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from twinlens.catalog.errors import EncoderUnavailable
from twinlens.catalog.files import write_atomically
from twinlens.encoders.fingerprints import files_digest, fingerprint
from twinlens.encoders.titles.text import PREPROCESSING_VERSION

WEIGHTS_NAME: Final = "model.safetensors"
CONFIG_NAME: Final = "config.json"
HISTORY_NAME: Final = "history.json"
FORMAT: Final = "twinlens-title-bridge"
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
    """Whether the config in ``directory`` says that it is a bridge's."""
    try:
        return bool(json.loads((directory / CONFIG_NAME).read_bytes())["format"] == FORMAT)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def read_bridge(directory: Path) -> PackedBridge:
    """What lies in ``directory``; its weights are read only for their digest.

    Raises:
        EncoderUnavailable: a file is missing, or it is not a bridge of this version.
    """
    weights, config_path = directory / WEIGHTS_NAME, directory / CONFIG_NAME
    for path in (config_path, weights):
        if not path.is_file():
            raise EncoderUnavailable(
                f"no bridge for titles in {directory}: {path.name} is missing "
                "(`twinlens train-titles` makes one)"
            )
    try:
        config = json.loads(config_path.read_bytes())
        known = config["format"], config["preprocessing_version"]
        shape = BridgeShape(**config["shape"])
        scripts = sorted(str(script) for script in config["scripts"])
        base, base_fingerprint = str(config["base"]), str(config["base_fingerprint"])
    except (ValueError, KeyError, TypeError) as error:
        raise EncoderUnavailable(f"{config_path} is no bridge's: {error!r}") from error
    if known != (FORMAT, PREPROCESSING_VERSION):
        raise EncoderUnavailable(
            f"{config_path} says {known[0]!r} with preprocessing {known[1]!r}; "
            f"this version reads {FORMAT!r} with preprocessing {PREPROCESSING_VERSION}"
        )
    return PackedBridge(
        directory=directory,
        fingerprint=fingerprint(
            FORMAT,
            str(PREPROCESSING_VERSION),
            json.dumps(config["shape"], sort_keys=True),
            json.dumps(scripts),
            files_digest(directory, [weights]),
        ),
        base=base,
        base_fingerprint=base_fingerprint,
        scripts=frozenset(scripts),
        shape=shape,
    )


def read_weights(bridge: PackedBridge) -> Weights:
    """The arrays by their names; the table of n-grams is int8 with a float32 scale per row.

    Raises:
        EncoderUnavailable: the file can't be read, or doesn't fit the config.
    """
    path = bridge.directory / WEIGHTS_NAME
    try:
        weights: Weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise EncoderUnavailable(f"{path} can't be read: {error}") from error
    shape = bridge.shape
    expected = {
        "ngrams.weight": (shape.buckets, shape.width),
        "ngrams.scale": (shape.buckets,),
        "word_norm.weight": (shape.width,),
        "word_norm.bias": (shape.width,),
        "importance.weight": (1, shape.width),
        "importance.bias": (1,),
        "title_norm.weight": (shape.width,),
        "title_norm.bias": (shape.width,),
        "hidden.weight": (shape.hidden, shape.width),
        "hidden.bias": (shape.hidden,),
        "hidden_out.weight": (shape.dim, shape.hidden),
        "hidden_out.bias": (shape.dim,),
        "direct.weight": (shape.dim, shape.width),
        "direct.bias": (shape.dim,),
    }
    found = {name: array.shape for name, array in weights.items()}
    if found != expected:
        wrong = sorted(name for name in found | expected if found.get(name) != expected.get(name))
        raise EncoderUnavailable(f"the weights in {path} don't fit its config: {', '.join(wrong)}")
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
    config = {
        "format": FORMAT,
        "preprocessing_version": PREPROCESSING_VERSION,
        "base": base,
        "base_fingerprint": base_fingerprint,
        "scripts": sorted(scripts),
        "shape": dict(shape),
        "training": dict(training),
    }
    directory.mkdir(parents=True, exist_ok=True)
    write_atomically(directory / WEIGHTS_NAME, save(packed))
    write_atomically(directory / CONFIG_NAME, json.dumps(config, indent=2).encode() + b"\n")
    write_atomically(directory / HISTORY_NAME, json.dumps(list(history), indent=1).encode() + b"\n")
