"""Bytes to take a digest over, where several parts decide it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal


def join_with_lengths(
    parts: Iterable[bytes], *, byteorder: Literal["little", "big"] = "little"
) -> bytes:
    """Return all ``parts``, each after its length in eight bytes.

    So no two lists of parts have the same digest by concatenation.
    """
    return b"".join(len(part).to_bytes(8, byteorder) + part for part in parts)
