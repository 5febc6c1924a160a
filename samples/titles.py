"""Titles that say what was drawn, in English, Sinhala, Tamil, or two of them together."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from twinlens.samples import english, sinhala, tamil
from twinlens.samples.phrases import Phrases

# What YouTube allows.
MAX_TITLE_LENGTH: Final = 100

LANGUAGES: Final[dict[str, Mapping[str, Phrases]]] = {
    english.CODE: english.ENGLISH,
    sinhala.CODE: sinhala.SINHALA,
    tamil.CODE: tamil.TAMIL,
}
_SUFFIXES: Final = {
    english.CODE: english.SUFFIXES,
    sinhala.CODE: sinhala.SUFFIXES,
    tamil.CODE: tamil.SUFFIXES,
}
# Shares of a Sri Lankan catalogue: mostly English and Sinhala, some Tamil, some in two languages.
_SHARES: Final = (("en", 0.45), ("si", 0.30), ("ta", 0.15), ("si+en", 0.06), ("ta+en", 0.04))
_RETRIES: Final = 6


@dataclass(frozen=True, slots=True)
class Wording:
    """The words of one video: its title, language, channel and tags."""

    title: str
    language: str
    channel: str
    tags: tuple[str, ...]


def write_title(rng: Random, *, subject: str, facts: Mapping[str, str | int], year: int) -> Wording:
    """Words for a picture of ``subject`` in which ``facts`` hold, published in ``year``."""
    mixture = rng.choices([name for name, _ in _SHARES], [share for _, share in _SHARES])[0]
    language, _, second = mixture.partition("+")
    phrases = LANGUAGES[language][subject]
    title = ""
    for _ in range(_RETRIES):
        title = _sentence(rng, phrases, facts)
        if second:
            title += " | " + _label(rng, LANGUAGES[second][subject], facts)
        else:
            title += rng.choice(_SUFFIXES[language]).format(
                episode=rng.randint(2, 240), part=rng.randint(1, 6), year=year
            )
        if len(title) <= MAX_TITLE_LENGTH:
            break
    else:
        title = _sentence(rng, phrases, facts)
    tags = rng.sample(phrases.tags, rng.randint(2, min(6, len(phrases.tags))))
    return Wording(title, language, rng.choice(phrases.channels), tuple(tags))


def slots(template: str) -> tuple[str, ...]:
    """The names between braces in ``template``."""
    return tuple(name for _, name, _, _ in string.Formatter().parse(template) if name)


def _sentence(rng: Random, phrases: Phrases, facts: Mapping[str, str | int]) -> str:
    return _fill(rng, phrases.templates, phrases, facts)


def _label(rng: Random, phrases: Phrases, facts: Mapping[str, str | int]) -> str:
    return _fill(rng, phrases.labels, phrases, facts)


def _fill(
    rng: Random, templates: Sequence[str], phrases: Phrases, facts: Mapping[str, str | int]
) -> str:
    known = phrases.said(facts)
    said = [
        template
        for template in templates
        if all(slot in known or slot in phrases.choices for slot in slots(template))
    ]
    template = rng.choice(said)
    chosen = {
        slot: rng.choice(phrases.choices[slot]) for slot in slots(template) if slot not in known
    }
    sentence = template.format(**known, **chosen)
    return sentence[:1].upper() + sentence[1:]
