"""Titles that say what was drawn, in English, Sinhala, Tamil, or two of them together.

What each language says stands in ``phrases/<language>.toml``, to be read and mended by people who
speak it. A template's ``{slot}`` is filled from a subject's ``words`` where the slot names a fact
of the picture (by its value; ``board2`` is another wording of the fact ``board``), else by drawing
from its ``choices``. A template that asks for a word that the picture's value has none for is left
out: so what a title says is what was drawn.
"""

from __future__ import annotations

import string
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from random import Random
from typing import Any, Final

LANGUAGES: Final = ("en", "si", "ta")
# What YouTube allows.
MAX_TITLE_LENGTH: Final = 100
# Shares of a Sri Lankan catalogue: mostly English and Sinhala, some Tamil, some in two languages.
_SHARES: Final = {"en": 0.45, "si": 0.30, "ta": 0.15, "si+en": 0.06, "ta+en": 0.04}
_RETRIES: Final = 6
# The highest number that the words for a count are made for; no picture shows more of anything.
_MOST_COUNTED: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrases:
    """How one subject is spoken of in one language; `labels` stand in other languages' titles."""

    templates: tuple[str, ...]
    labels: tuple[str, ...]
    channels: tuple[str, ...]
    tags: tuple[str, ...]
    words: Mapping[str, Mapping[str, str]]
    choices: Mapping[str, tuple[str, ...]]

    def find_words(self, facts: Mapping[str, str | int]) -> dict[str, str]:
        """Return the words for those facts that this language speaks of, by slot."""
        values = {slot: str(facts.get(slot.rstrip("0123456789"))) for slot in self.words}
        said = {slot: self.words[slot].get(value) for slot, value in values.items()}
        return {slot: word for slot, word in said.items() if word is not None}


@dataclass(frozen=True, slots=True)
class Wording:
    """The words of one video: its title, language, channel and tags."""

    title: str
    language: str
    channel: str
    tags: tuple[str, ...]


@cache
def read_phrases(language: str) -> tuple[Mapping[str, Phrases], tuple[str, ...]]:
    """Return a language's phrases by subject, and what may stand after a title."""
    text = (files("twinlens.samples") / "phrases" / f"{language}.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    suffixes = tuple(table.pop("suffixes"))
    return {subject: _parse_phrases(entry) for subject, entry in table.items()}, suffixes


def write_title(rng: Random, *, subject: str, facts: Mapping[str, str | int], year: int) -> Wording:
    """Return words for a picture of ``subject`` in which ``facts`` hold, published in ``year``."""
    mixture = rng.choices(list(_SHARES), list(_SHARES.values()))[0]
    language, _, second = mixture.partition("+")
    by_subject, suffixes = read_phrases(language)
    phrases = by_subject[subject]
    title = ""
    for _ in range(_RETRIES):
        title = _fill(rng, phrases.templates, phrases, facts)
        if second:
            other = read_phrases(second)[0][subject]
            title += " | " + _fill(rng, other.labels, other, facts)
        else:
            numbers = {"episode": rng.randint(2, 240), "part": rng.randint(1, 6), "year": year}
            title += rng.choice(suffixes).format(**numbers)
        if len(title) <= MAX_TITLE_LENGTH:
            break
    else:
        title = _fill(rng, phrases.templates, phrases, facts)
    tags = rng.sample(phrases.tags, rng.randint(2, min(6, len(phrases.tags))))
    return Wording(title, language, rng.choice(phrases.channels), tuple(tags))


def list_slots(template: str) -> tuple[str, ...]:
    """Return the names between braces in ``template``."""
    return tuple(name for _, name, _, _ in string.Formatter().parse(template) if name)


def _fill(
    rng: Random, templates: Sequence[str], phrases: Phrases, facts: Mapping[str, str | int]
) -> str:
    known = phrases.find_words(facts)
    sayable = known.keys() | phrases.choices.keys()
    template = rng.choice([one for one in templates if sayable.issuperset(list_slots(one))])
    unknown = [slot for slot in list_slots(template) if slot not in known]
    chosen = {slot: rng.choice(phrases.choices[slot]) for slot in unknown}
    sentence = template.format(**known, **chosen)
    return sentence[:1].upper() + sentence[1:]


def _parse_phrases(entry: Mapping[str, Any]) -> Phrases:
    return Phrases(
        templates=tuple(entry["templates"]),
        labels=tuple(entry.get("labels", ())),
        channels=tuple(entry["channels"]),
        tags=tuple(entry["tags"]),
        words={slot: _spell_counts(words) for slot, words in entry.get("words", {}).items()},
        choices={slot: _list_choices(said) for slot, said in entry.get("choices", {}).items()},
    )


def _spell_counts(words: Mapping[str, str]) -> Mapping[str, str]:
    if "many" not in words:
        return words
    many = {str(n): words["many"].format(n=n) for n in range(3, _MOST_COUNTED + 1)}
    return many | {"1": words["one"], "2": words["two"]}


def _list_choices(said: Sequence[str] | Mapping[str, Any]) -> tuple[str, ...]:
    if isinstance(said, Mapping):
        return tuple(said["each"].format(n=n) for n in range(said["first"], said["last"] + 1))
    return tuple(said)
