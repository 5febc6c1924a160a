"""A random order of all videos that can be paged through without ever being written down.

Point ids are hashes, spread evenly over 128 bits. They are cut into blocks of up to some eight
videos. The seed decides the order of the blocks (by a permutation that needs no table), where the
first cut lies, and the order of videos within a block. So a page reads only a few blocks, however
large the index is, and every video has nearly the same chance of every place. One thing is not
random: videos of one block stay together.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_POINT_BITS: Final = 128
_MOST_PER_BLOCK: Final = 8
_ROUNDS: Final = 3


@dataclass(frozen=True, slots=True)
class Shuffle:
    """The order that ``seed`` puts some ``total`` videos in."""

    seed: int
    total: int

    @property
    def blocks(self) -> int:
        """Number of blocks, a power of two."""
        return 1 << self._bits

    @property
    def _bits(self) -> int:
        return (max(self.total - 1, 0) // _MOST_PER_BLOCK).bit_length()

    def find_spans(self, number: int) -> Iterator[tuple[int, int]]:
        """Yield the ids of the block that comes at ``number``: one span, or two around the end.

        A span includes its first id and excludes its second.
        """
        width = 1 << (_POINT_BITS - self._bits)
        start = self._permute(number) * width + self._hash(b"cut", _POINT_BITS)
        start %= 1 << _POINT_BITS
        end = start + width
        yield start, min(end, 1 << _POINT_BITS)
        if end > 1 << _POINT_BITS:
            yield 0, end - (1 << _POINT_BITS)

    def make_key(self, point: str) -> bytes:
        """Return the key by which the videos of a block are sorted."""
        return _hash(b"key", self.seed, uuid.UUID(point).bytes)

    def _permute(self, number: int) -> int:
        # Adding, multiplying by an odd number, and folding the upper half onto the lower are all
        # invertible, so no two numbers collide.
        bits = self._bits
        for turn in range(_ROUNDS):
            number += self._hash(b"add%d" % turn, bits)
            number *= self._hash(b"multiply%d" % turn, bits) | 1
            number &= self.blocks - 1
            number ^= number >> (bits // 2 + 1)
        return number

    def _hash(self, purpose: bytes, bits: int) -> int:
        return int.from_bytes(_hash(purpose, self.seed)) >> (_POINT_BITS - bits)


def _hash(purpose: bytes, seed: int, data: bytes = b"") -> bytes:
    text = seed.to_bytes(8, "big") + data
    return hashlib.blake2b(text, digest_size=_POINT_BITS // 8, person=purpose).digest()
