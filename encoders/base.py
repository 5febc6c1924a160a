"""What every encoder is, and the checks of what it takes and what it promises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol, TypeVar, runtime_checkable

from PIL import Image

from twinlens.catalog.vectors import FloatMatrix

# Of a query no more is read: 512 tokens cost multilingual-e5-base a second of a core.
MOST_QUERY_TOKENS: Final = 256

ItemT = TypeVar("ItemT", contravariant=True)


class Encoder(Protocol[ItemT]):
    """Turns items into unit vectors.

    Making an encoder is cheap: weights are loaded by the first ``encode``. ``fingerprint`` changes
    whenever the vectors would: it covers the model, its weights and the preprocessing.
    """

    @property
    def name(self) -> str:
        """What gets it again: ``packaged:use-m3``, a hub name, or an absolute path."""
        ...

    @property
    def dim(self) -> int:
        """Length of its vectors."""
        ...

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits that identify model, weights and preprocessing."""
        ...

    def encode(self, items: Sequence[ItemT]) -> FloatMatrix:
        """Return float32 of shape (len(items), dim), rows of unit length; no items is fine.

        Raises:
            UnencodableItems: some items have no finite, non-zero vector.
        """
        ...


class TitleEncoder(Encoder[str], Protocol):
    """An encoder of titles, which may treat a query otherwise than a stored title."""

    def encode_queries(self, texts: Sequence[str]) -> FloatMatrix:
        """As ``encode``, for what a person typed: shape (len(texts), dim), rows of unit length."""
        ...


class ThumbnailEncoder(Encoder[Image.Image], Protocol):
    """An encoder of upright RGB pictures."""

    @property
    def input_size(self) -> tuple[int, int]:
        """Smallest (width, height) it makes use of; a decoder may stop there."""
        ...


@runtime_checkable
class TextThumbnailEncoder(ThumbnailEncoder, Protocol):
    """A thumbnail encoder with a text side, which can be asked for pictures by words."""

    def encode_queries(self, texts: Sequence[str]) -> FloatMatrix:
        """Encode what a person typed, beside pictures: shape (len(texts), dim), unit rows."""
        ...


def mend_text(text: str) -> str:
    """``text`` with U+FFFD for halves of surrogate pairs, which no tokenizer takes."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
