"""What a searched text demands: phrases in quotes, and words to leave out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import regex

from twinlens.catalog.fields import Fields
from twinlens.encoders.words import fold_words

MOST_DEMANDS: Final = 10
# Scripts whose words stand side by side, so that a phrase may begin and end inside a run of them.
UNSPACED: Final = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
)
# Quotes as keyboards and phones write them. One opens before a word and closes after one, so that
# inches (27") and apostrophes are none, and one without its other is a character like any.
_DEMAND: Final = regex.compile(
    r"""(?<!\S)(?:
        (?P<without>-)?["“”„«＂](?P<phrase>[^"“”„«»＂]+)["“”»＂](?![\p{L}\p{N}\p{M}])
        | -(?P<word>[^\s"“”„«»＂-]\S*)
    )""",
    regex.VERBOSE,
)


class Phrase(NamedTuple):
    """Words, folded as the ranking by words folds them, that stand side by side."""

    words: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Phrase:
        """Return the words of ``text``; of a text without any, a phrase without any."""
        return cls(tuple(word.folded for word in fold_words(text)))

    def is_in(self, folded: str) -> bool:
        """Return whether a text, as ``fold_text`` returns it, has these words in this order."""
        before = "" if UNSPACED.match(self.words[0]) else " "
        after = "" if UNSPACED.match(self.words[-1][-1]) else " "
        return f"{before}{' '.join(self.words)}{after}" in folded


@dataclass(frozen=True, slots=True)
class Demands:
    """What every hit must have, and what none may have, in the texts that are searched."""

    phrases: tuple[Phrase, ...] = ()
    without: tuple[Phrase, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.phrases or self.without)

    def hold(self, folded: str) -> bool:
        """Return whether a video whose texts are ``folded`` may be a hit."""
        return all(one.is_in(folded) for one in self.phrases) and not any(
            one.is_in(folded) for one in self.without
        )


NO_DEMANDS: Final = Demands()


class ReadText(NamedTuple):
    """A text as it is to be searched, without quotes and words to leave out, and its demands."""

    text: str | None
    demands: Demands


def read_text(written: str) -> ReadText:
    """Return what a person's text asks for: ``"in quotes"``, ``-word`` and ``-"several words"``.

    Quotes that are not in pairs, a dash with no word behind it and quotes around none are
    characters like any. ``text`` is None where nothing is left to search by.
    """
    phrases: list[Phrase] = []
    without: list[Phrase] = []

    def take(found: regex.Match[str]) -> str:
        quoted: str | None = found["phrase"]
        phrase = Phrase.of(quoted or found["word"] or "")
        if not phrase.words:
            whole: str = found[0]
            return whole
        if quoted is None or found["without"]:
            without.append(phrase)
            return " "
        phrases.append(phrase)
        return quoted

    text = _DEMAND.sub(take, written).strip()
    demands = Demands(tuple(dict.fromkeys(phrases)), tuple(dict.fromkeys(without)))
    return ReadText(text or None, demands)


def fold_text(payload: Mapping[str, Any], fields: Fields) -> str:
    """Return the words of all texts of a video that are searched, folded, each between spaces."""
    texts = (payload.get(row.name) for row in fields if row.searchable)
    return "\n".join(f" {' '.join(Phrase.of(text).words)} " for text in _flatten(texts))


def _flatten(values: Iterable[object]) -> Iterable[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            yield from (one for one in value if isinstance(one, str))
