"""What a language brings to a title: templates, and the words for what was drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrases:
    """How one subject is spoken of in one language.

    A template's ``{slot}`` is filled from ``words`` where the slot names a fact of the picture
    (by its value; ``board2`` is another wording of the fact ``board``), else by drawing from
    ``choices``. A template that asks for a word that the
    picture's value has none for is left out: so what a title says is what was drawn.
    ``labels`` are the few words that titles of other languages carry beside their own.
    """

    templates: tuple[str, ...]
    words: Mapping[str, Mapping[str | int, str]] = field(default_factory=dict)
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    channels: tuple[str, ...]
    tags: tuple[str, ...]

    def said(self, facts: Mapping[str, str | int]) -> dict[str, str]:
        """The words for those facts that this language speaks of, by slot."""
        said = {}
        for slot, words in self.words.items():
            value = facts.get(slot.rstrip("0123456789"))
            if value is not None and value in words:
                said[slot] = words[value]
        return said


def counted(one: str, two: str, many: str, *, upto: int = 60) -> dict[str | int, str]:
    """The words for one, for two and (with ``{n}``) for each number from three to ``upto``."""
    words: dict[str | int, str] = {n: many.format(n=n) for n in range(3, upto + 1)}
    return words | {1: one, 2: two}
