"""Titles of other scripts, asked for in Latin letters: as romanisers and as uploaders spell them.

The romanisers are packages that know nothing of ``encoders/sounds.toml``; on top of theirs come the
casual spellings of people who type. Sources: ISO 15919; ITRANS 5.3; Hermjakob, May, Knight:
Out-of-the-box Universal Romanization Tool uroman, ACL 2018.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from functools import cache, partial
from typing import Any, Final

import numpy as np
import regex

from twinlens.catalog.errors import UsageError
from twinlens.evaluate.known_items import LEAST_TITLES, TitleHolders, find_script, split_typed_words
from twinlens.evaluate.tasks import Corpus, Task, TaskQuery

FAMILY: Final = "Latin letters"
_MOST_TYPED: Final = 4
_TRIES: Final = 8
# Scripts of which `indic-transliteration` has tables.
_OF_TABLES: Final = "BENGALI DEVANAGARI GUJARATI GURMUKHI KANNADA MALAYALAM SINHALA TAMIL TELUGU"
_TABLES: Final = frozenset(_OF_TABLES.split(" "))
_UNTYPED: Final = regex.compile(r"[^\p{L}\p{M}\p{N} ]+")
# What people type for one another, each direction named.
_TYPED_FOR: Final = (
    "th=t dh=d kh=k bh=b sh=s ch=c ng=n aa=a ee=i ii=ee/i oo=o uu=u ae=a/e "
    "t=th d=dh v=w w=v s=sh c=ch k=c i=ee u=oo y=i"
)
_CASUAL: Final[Mapping[str, Sequence[str]]] = {
    letters: others.split("/")
    for letters, _, others in (pair.partition("=") for pair in _TYPED_FOR.split(" "))
}
_LETTERS: Final = re.compile("|".join(sorted(_CASUAL, key=len, reverse=True)) + r"|(.)\1|.")
_PAIR_SHARE: Final = 0.25
_LETTER_SHARE: Final = 0.12
_FINAL_VOWEL_SHARE: Final = 0.3
# Two spellings of a word are as like as this (difflib's ratio), where one is a romaniser's.
_ALIKE: Final = 0.8
_LATIN_WORD: Final = re.compile(r"[a-z]{4,}")
_SHORTEST: Final = 3

Romaniser = Callable[[str], str]


def find_romanisers(script: str) -> dict[str, Romaniser]:
    """Return the romanisers of a script by name, none of them ours.

    Raises:
        UsageError: their packages are missing.
    """
    try:
        import sinhala2roman
        from indic_transliteration import sanscript
    except ImportError as error:
        raise UsageError("this needs romanisers: pip install 'twinlens[evaluate]'") from error
    found: dict[str, Romaniser] = {}
    if script == "SINHALA":
        found["sinhala2roman"] = sinhala2roman.transliterate
    if script in _TABLES:
        for name, scheme in (("ITRANS", "itrans"), ("ISO 15919", "iso")):
            found[name] = partial(sanscript.transliterate, _from=script.lower(), _to=scheme)
    found["uroman"] = _open_uroman().romanize_string
    return found


@cache
def _open_uroman() -> Any:
    try:
        from uroman import Uroman
    except ImportError as error:
        raise UsageError("this needs uroman: pip install 'twinlens[evaluate]'") from error
    return Uroman()


def spell_casually(word: str, rng: np.random.Generator) -> str:
    """Return a romanised ``word`` as one might type it: t for th, w for v, a for aa, and so on."""
    spelt = []
    for match in _LETTERS.finditer(word.lower()):
        letters = match.group()
        others = _CASUAL.get(letters) or ([letters[0]] if len(letters) == 2 else [])
        share = _PAIR_SHARE if len(letters) == 2 else _LETTER_SHARE
        spelt.append(str(rng.choice(others)) if others and rng.random() < share else letters)
    typed = "".join(spelt)
    drops = len(typed) > 4 and typed[-1] in "aeiou" and rng.random() < _FINAL_VOWEL_SHARE
    return typed[:-1] if drops else typed


def make_latin_letter_tasks(corpus: Corpus, *, limit: int, seed: int) -> list[Task]:
    """Make a task per script and romaniser: two to four words of a title, spelt casually.

    At most ``limit`` titles are asked for, the same by all romanisers. Then a task of the titles
    that spell a word in Latin letters too: these are taken out of the title, and asked for. No
    task where a catalogue has too few titles of other scripts.

    Raises:
        UsageError: a package is missing.
    """
    titles = {video.video_id: video.title for video in corpus.videos if video.title is not None}
    by_script: dict[str, list[str]] = defaultdict(list)
    for video_id, title in titles.items():
        by_script[find_script(title) or "LATIN"].append(video_id)
    by_script.pop("LATIN", None)
    large = {script: of for script, of in sorted(by_script.items()) if len(of) >= LEAST_TITLES}
    holders = TitleHolders(titles)
    tasks = []
    for script, video_ids in large.items():
        rng = np.random.default_rng([seed, *script.encode()])
        parts = _draw_parts({one: titles[one] for one in video_ids}, script, holders, rng, limit)
        if len(parts) < LEAST_TITLES:
            continue
        for name, romanise in find_romanisers(script).items():
            queries = {one: _type(part, romanise, rng) for one, part in parts.items()}
            told = f"{corpus.name}, {script.capitalize()}, in part, by {name}, casual"
            tasks.append(_make_task(told, corpus, queries))
    if pairs := make_hidden_spelling_task(corpus, large, limit=limit, seed=seed):
        tasks.append(pairs)
    return tasks


def _draw_parts(
    titles: Mapping[str, str],
    script: str,
    holders: TitleHolders,
    rng: np.random.Generator,
    limit: int,
) -> dict[str, list[str]]:
    """Return, for titles by lot, words in a row of ``script`` that no other title has."""
    parts: dict[str, list[str]] = {}
    video_ids = list(titles)
    for video_id in (video_ids[at] for at in rng.permutation(len(video_ids))):
        words = [one for one in split_typed_words(titles[video_id]) if find_script(one) == script]
        for _ in range(_TRIES if len(words) > 1 else 0):
            length = int(rng.integers(2, min(_MOST_TYPED, len(words)), endpoint=True))
            first = int(rng.integers(len(words) - length, endpoint=True))
            part = words[first : first + length]
            if holders.find(" ".join(part)) == {video_id}:
                parts[video_id] = part
                break
        if len(parts) == limit:
            break
    return parts


def _type(words: Sequence[str], romanise: Romaniser, rng: np.random.Generator) -> str:
    return " ".join(spell_casually(_UNTYPED.sub("", romanise(word)), rng) for word in words)


def _make_task(name: str, corpus: Corpus, queries: Mapping[str, str]) -> Task:
    asked = {video_id: TaskQuery(text=text) for video_id, text in queries.items()}
    return Task(FAMILY, name, corpus, asked, {video_id: {video_id: 1} for video_id in asked})


def make_hidden_spelling_task(
    corpus: Corpus, scripts: Mapping[str, Sequence[str]], *, limit: int, seed: int
) -> Task | None:
    """Make a task of the titles, by ids of each of ``scripts``, that spell a word in Latin too.

    The Latin spellings of all these titles are hidden, and those of at most ``limit`` asked for:
    where the words, as the other script has them, are in no other title. None: too few titles.
    """
    titles = {video.video_id: video.title for video in corpus.videos if video.title is not None}
    pairs: dict[str, dict[str, str]] = {}
    for script, video_ids in scripts.items():
        romanisers = list(find_romanisers(script).values())
        for video_id in video_ids:
            if of := dict(_find_pairs(titles[video_id], script, romanisers)):
                pairs[video_id] = of
    hidden = {one: _hide(title, pairs.get(one, {})) for one, title in titles.items()}
    holders = TitleHolders(hidden)
    fit = [one for one, of in pairs.items() if holders.find(" ".join(of.values())) == {one}]
    if len(fit) < LEAST_TITLES:
        return None
    drawn = [fit[at] for at in np.random.default_rng(seed).permutation(len(fit))[:limit]]
    name = f"{corpus.name}, hidden spellings"
    videos = [replace(one, title=hidden.get(one.video_id)) for one in corpus.videos]
    told = Corpus(name, videos)
    return _make_task(name, told, {one: " ".join(pairs[one]) for one in drawn})


def _find_pairs(
    title: str, script: str, romanisers: Sequence[Romaniser]
) -> Iterator[tuple[str, str]]:
    """Yield Latin words of ``title`` with the word of ``script`` that they spell."""
    words = [_UNTYPED.sub("", word) for word in split_typed_words(title)]
    spelt = {
        word: [_even_out(romanise(word)) for romanise in romanisers]
        for word in words
        if find_script(word) == script and len(word) >= _SHORTEST
    }
    for latin in {word.lower() for word in words if _LATIN_WORD.fullmatch(word.lower())}:
        likeness, word = max(
            (SequenceMatcher(None, _even_out(latin), one).ratio(), word)
            for word, of in [*spelt.items(), ("", [""])]
            for one in of
        )
        if likeness >= _ALIKE:
            yield latin, word


def _even_out(spelling: str) -> str:
    """Return a spelling without the commonest differences: th and t, doubled letters, v and w."""
    even = re.sub("[^a-z]", "", spelling.lower())
    return re.sub(r"(.)\1", r"\1", re.sub("(?<=[td])h", "", even).replace("w", "v"))


def _hide(title: str, spellings: Mapping[str, str]) -> str:
    for one in spellings:
        title = re.sub(rf"(?i)(?<![a-z]){one}(?![a-z])", " ", title)
    return title
