"""The channels that a searched text names, among those of its hits."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from twinlens.encoders.words import list_named
from twinlens.stores.base import FacetCount, Payload, VectorReader
from twinlens.stores.filters import AnyOf

CHANNEL: Final = "channel"
_MOST_CHANNELS: Final = 5


def find_channels(
    text: str | None, payloads: Iterable[Payload], reader: VectorReader
) -> list[FacetCount]:
    """Return the channels of ``payloads`` that ``text`` names, and how many videos each has.

    At most five, in their order; a name is the same however it is spaced, and in whatever script.
    """
    row = reader.fields.get(CHANNEL)
    if text is None or row is None or not row.filterable:
        return []
    there = dict.fromkeys(str(one[CHANNEL]) for one in payloads if one.get(CHANNEL))
    named = list_named(text, there)[:_MOST_CHANNELS]
    return [FacetCount(name, reader.count(filter=AnyOf(CHANNEL, (name,)))) for name in named]
