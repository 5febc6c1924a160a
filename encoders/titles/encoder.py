"""A base title encoder with a bridge for the scripts that it doesn't know."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from twinlens.catalog.errors import EncoderUnavailable, UnencodableItems
from twinlens.catalog.vectors import FloatMatrix, unit_rows
from twinlens.encoders.base import TitleEncoder
from twinlens.encoders.fingerprints import make_fingerprint
from twinlens.encoders.titles.packing import read_bridge
from twinlens.encoders.titles.text import cut, find_scripts, split_words

if TYPE_CHECKING:
    from twinlens.encoders.titles.bridge import CharacterBridge

PACKAGED_BRIDGE: Final = Path(__file__).parent / "weights" / "use-m3-bridge"
_MIXING: Final = "words in the bridge's scripts by the bridge, version 1"


class Split(NamedTuple):
    """A title, taken apart: words for the bridge, the rest for the base.

    ``rest`` is empty where nothing is left that the base could read. ``share`` (0 to 1) is the
    bridge's part of the words.
    """

    bridged: list[str]
    rest: str
    share: float


def split(title: str, bridged_scripts: frozenset[str]) -> Split | None:
    """``title`` parted at white space; None where no letter is in ``bridged_scripts``.

    A word goes to the bridge if one of its letters is in a bridged script: suffixes are written
    straight after foreign names. Numbers and punctuation stay with words beside them: they go to
    the bridge, unless some of the rest is in letters too.
    """
    text = cut(title)
    if bridged_scripts.isdisjoint(find_scripts(text)):
        return None
    known: list[str] = []
    bridged: list[str] = []
    for word in text.split():
        (known if bridged_scripts.isdisjoint(find_scripts(word)) else bridged).append(word)
    bridged_words = split_words(" ".join(bridged))
    if not bridged_words:
        return None
    if not any(find_scripts(word) for word in known):
        return Split(split_words(text), "", 1.0)
    rest = " ".join(known)
    known_words = split_words(rest)
    share = len(bridged_words) / (len(bridged_words) + len(known_words))
    return Split(bridged_words, rest, share)


class BridgedTitleEncoder:
    """Titles in the base's space, whatever their script.

    What has no letter in the bridge's scripts gets exactly the base's vector. Of a mixed title,
    the bridge takes the words in its scripts and the base the rest; the two unit vectors are
    added, weighted by the roots of their numbers of words (as vectors of words add up; it does
    better on held-out titles than the numbers themselves).

    ``directory`` holds what ``twinlens train-titles`` wrote. It may be used from several threads.

    Raises:
        EncoderUnavailable: a file is missing, it is no bridge, or was trained for another base.
    """

    def __init__(self, directory: Path, *, name: str, base: TitleEncoder) -> None:
        self._packed = read_bridge(directory)
        self._base = base
        self.name = name
        self.dim = self._packed.shape.dim
        self._loaded: CharacterBridge | None = None
        self._loading = threading.Lock()
        if self._packed.base_fingerprint != base.fingerprint:
            raise EncoderUnavailable(
                f"the bridge in {directory} was trained for another version of {self._packed.base} "
                f"({self._packed.base_fingerprint}; this one is {base.fingerprint}); train it again"
            )

    @property
    def scripts(self) -> frozenset[str]:
        """The scripts that go through the bridge, by the first words of their Unicode names."""
        return self._packed.scripts

    @cached_property
    def fingerprint(self) -> str:
        """Identity of base, bridge, preprocessing, and of how a mixed title is put together."""
        return make_fingerprint(self._base.fingerprint, self._packed.fingerprint, _MIXING)

    def encode(self, items: Sequence[str]) -> FloatMatrix:
        """Encode titles as a float32 array of shape (len(items), dim), rows of unit length."""
        return self._encode(items, self._base.encode)

    def encode_queries(self, texts: Sequence[str]) -> FloatMatrix:
        """Encode queries likewise; the base encodes its part as it encodes queries."""
        return self._encode(texts, self._base.encode_queries)

    def _encode(
        self, texts: Sequence[str], by_base: Callable[[Sequence[str]], FloatMatrix]
    ) -> FloatMatrix:
        splits = [split(text, self.scripts) for text in texts]
        for_base = [
            (row, text if part is None else part.rest)
            for row, (text, part) in enumerate(zip(texts, splits, strict=True))
            if part is None or part.rest
        ]
        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        if for_base:
            rows = [row for row, _ in for_base]
            try:
                vectors[rows] = by_base([text for _, text in for_base])
            except UnencodableItems as error:
                raise UnencodableItems([rows[row] for row in error.rows]) from error
        bridged = [row for row, part in enumerate(splits) if part is not None]
        if bridged:
            parts = [part for part in splits if part is not None]
            share = np.array([[part.share] for part in parts], dtype=np.float32)
            try:
                through = unit_rows(self._open_bridge().encode([part.bridged for part in parts]))
                vectors[bridged] = unit_rows(
                    np.sqrt(share) * through + np.sqrt(1 - share) * vectors[bridged]
                )
            except UnencodableItems as error:
                raise UnencodableItems([bridged[row] for row in error.rows]) from error
        return vectors

    def _open_bridge(self) -> CharacterBridge:
        with self._loading:
            if self._loaded is None:
                from twinlens.encoders.titles.bridge import CharacterBridge

                self._loaded = CharacterBridge(self._packed)
            return self._loaded
