"""Known-item search: a person has seen a video and asks for it by what they remember of its title.

Queries are titles as people remember and type them: words left out, in another order, misspelt, or
in part. Letters are changed by whole grapheme clusters: in Sinhala, Tamil or Devanagari a vowel
sign never parts from its consonant, as it never does under a person's finger.

Source of the method: Azzopardi, de Rijke, Balog: Building Simulated Queries for Known-Item Topics,
SIGIR 2007 (queries made from the document itself, seeded).
"""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, islice, pairwise
from typing import Final, NamedTuple

import numpy as np
import regex

from twinlens.catalog.errors import UsageError
from twinlens.evaluate.tasks import Corpus, Task, TaskQuery

FAMILY: Final = "known item"
# With fewer titles of a script, an interval is too wide to say anything.
LEAST_TITLES: Final = 30
_TRIES: Final = 8

# Letters of one sound or look that are taken for one another. Sinhala: n and l, dental and
# retroflex; the three s; aspirated for plain; vowels short for long. Tamil: three n, three l, two
# r; vowels short for long. Devanagari: vowels short for long; two n; three s.
_SOUND_ALIKE: Final = (
    *("න ණ", "ල ළ", "ස ශ ෂ", "ත ථ", "ද ධ", "ක ඛ", "ග ඝ", "බ භ", "ප ඵ", "ච ඡ", "ට ඨ", "ඩ ඪ"),
    *("ි ී", "ු ූ", "ෙ ේ", "ො ෝ", "ැ ෑ"),
    *("ந ன ண", "ல ள ழ", "ர ற", "ி ீ", "ு ூ", "ெ ே", "ொ ோ"),
    *("ि ी", "ु ू", "न ण", "श ष स"),
)
KEYBOARD: Final = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_ALIKE: Final = [
    *map(str.split, _SOUND_ALIKE),
    *(pair for row in KEYBOARD for pair in pairwise(row)),
]
# What may be typed for a character: what sounds or looks like it, or lies beside it.
_TAKEN_FOR: Final[Mapping[str, Sequence[str]]] = {
    one: [other for group in _ALIKE if one in group for other in group if other != one]
    for one in chain.from_iterable(_ALIKE)
}
# Shorter words are misspelt seldom, and are past recognition when they are.
_LEAST_CLUSTERS: Final = 3
_LEAST_CHARACTERS: Final = 4

_MOST_TYPED: Final = 4  # words of a query that is part of a title

_CLUSTER: Final = regex.compile(r"\X")
_LETTER: Final = regex.compile(r"\p{L}")
_TYPED: Final = regex.compile(r"[\p{L}\p{N}]")
_DIGIT: Final = regex.compile(r"\p{N}")
_WORD: Final = regex.compile(r"[\p{L}\p{M}\p{N}]+")
_EMOJI: Final = regex.compile(r"[\p{Extended_Pictographic}\p{Emoji_Modifier}]+")


class Remembered(NamedTuple):
    """What a person types, and the words of the title that they mean by it."""

    text: str
    meant: Sequence[str]


def find_script(title: str) -> str | None:
    """Return the script of ``title``: the commonest among its letters other than Latin, else Latin.

    A title with one Sinhala word among English ones is a Sinhala title here: that is the word
    that is hard to find. The name is that of Unicode's character names (``SINHALA``); None
    where there is no letter.
    """
    letters = _LETTER.findall(title)
    counts = Counter(unicodedata.name(letter, "").partition(" ")[0] for letter in letters)
    latin = counts.pop("LATIN", 0)
    if counts:
        return max(counts, key=lambda name: (counts[name], name))
    return "LATIN" if latin else None


def split_typed_words(title: str) -> list[str]:
    """Return the words a person would type: those with a letter or a digit, emoji and bars out."""
    return [word for word in _EMOJI.sub(" ", title).split() if _TYPED.search(word)]


# The words that are typed, and those that are meant by them; none typed where the title has too
# few words for it, or by bad luck.
Typed = tuple[Sequence[str], Sequence[str]]


def _drop_words(words: Sequence[str], _: str, rng: np.random.Generator) -> Typed:
    """Leave out a third of the words, at least one; at least two stay."""
    count = len(words) - max(1, round(len(words) / 3))
    places = rng.choice(len(words), count, replace=False) if count > 1 else ()
    kept = [words[at] for at in sorted(places)]
    return kept, kept


def _swap_words(words: Sequence[str], _: str, rng: np.random.Generator) -> Typed:
    """Swap two words, and another two for every six words of the title."""
    swapped = list(words)
    for _times in range(1 + len(words) // 6 if len(words) > 1 else 0):
        first, second = rng.choice(len(words), 2, replace=False)
        swapped[first], swapped[second] = swapped[second], swapped[first]
    return ([] if swapped == words else swapped), words


def _misspell(words: Sequence[str], script: str, rng: np.random.Generator) -> Typed:
    """Make one slip in every fourth word, at least one, in words of ``script`` first.

    None at all where no word of ``script`` can be misspelt.
    """
    misspelt: dict[int, str] = {}
    # Words of the script first, for that is where the search is put to the test.
    order = sorted(rng.permutation(len(words)), key=lambda at: find_script(words[at]) != script)
    for at in order:
        enough = len(misspelt) == max(1, round(len(words) / 4))
        if enough or (not misspelt and find_script(words[at]) != script):
            break
        slipped = slip(words[at], rng)
        if slipped is not None:
            misspelt[at] = slipped
    return [misspelt.get(at, word) for at, word in enumerate(words) if misspelt], words


def _take_part(words: Sequence[str], _: str, rng: np.random.Generator) -> Typed:
    """Take two to four words in a row, as much as most people type, and not all."""
    if len(words) < 3:
        return [], []
    length = int(rng.integers(2, min(_MOST_TYPED, len(words) - 1), endpoint=True))
    first = int(rng.integers(len(words) - length, endpoint=True))
    part = words[first : first + length]
    return part, part


def _misspell_part(words: Sequence[str], script: str, rng: np.random.Generator) -> Typed:
    """Take two to four words in a row, and make a slip in one of them."""
    return _misspell(_take_part(words, script, rng)[0], script, rng)


# Each of a title's words and its script.
DAMAGES: Final[Mapping[str, Callable[[Sequence[str], str, np.random.Generator], Typed]]] = {
    "words dropped": _drop_words,
    "words swapped": _swap_words,
    "misspelt": _misspell,
    "in part": _take_part,
    "in part, misspelt": _misspell_part,
}


def damage_title(kind: str, title: str, script: str, rng: np.random.Generator) -> Remembered | None:
    """Return what one kind of ``DAMAGES`` makes of a title of ``script``, if it makes anything.

    It differs from the title in more than case, form and space, and has a word of ``script``.
    """
    typed, meant = DAMAGES[kind](split_typed_words(title), script, rng)
    text = " ".join(typed)
    fits = any(find_script(word) == script for word in typed)
    return Remembered(text, meant) if fits and normalize(text) != normalize(title) else None


def slip(word: str, rng: np.random.Generator) -> str | None:
    """Return ``word`` with one typing slip; None if it has too few letters for one.

    A cluster is left out, typed twice, exchanged with its neighbour, or replaced by one that sounds
    or looks alike or lies beside it on the keyboard. The first cluster stays in its place.
    """
    clusters: list[str] = _CLUSTER.findall(word)
    letters = [at for at, cluster in enumerate(clusters) if _LETTER.match(cluster)]
    if len(letters) < _LEAST_CLUSTERS or len(word) < _LEAST_CHARACTERS or _DIGIT.search(word):
        return None
    for kind in rng.permutation(4):
        for at in rng.permutation(letters[1:]):
            found = _slip_at(clusters, int(at), int(kind), rng)
            if normalize(found) != normalize(word):
                return found
    return None


def _slip_at(clusters: Sequence[str], at: int, kind: int, rng: np.random.Generator) -> str:
    """Return the word with a slip of one kind at one place; unchanged where there can be none."""
    cluster, after = clusters[at], clusters[at + 1 :]
    if kind < 2:
        cluster *= 2 * kind
    elif kind == 2:
        if after and _LETTER.match(after[0]):
            cluster, after = after[0] + cluster, after[1:]
    elif places := [place for place, one in enumerate(cluster) if one.lower() in _TAKEN_FOR]:
        place = int(rng.choice(places))
        other = str(rng.choice(_TAKEN_FOR[cluster[place].lower()]))
        other = other.upper() if cluster[place].isupper() else other
        cluster = cluster[:place] + other + cluster[place + 1 :]
    return "".join([*clusters[:at], cluster, *after])


def normalize(text: str) -> str:
    """``text`` in NFKC without case, its words parted by single spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


class TitleHolders:
    """Says which of the ``titles``, by video id, hold given words."""

    def __init__(self, titles: Mapping[str, str]) -> None:
        self._holders: defaultdict[str, set[str]] = defaultdict(set)
        for video_id, title in titles.items():
            for word in _WORD.findall(normalize(title)):
                self._holders[word].add(video_id)

    def find(self, text: str) -> set[str]:
        """Return the titles that hold every word of ``text``; none where it has no word."""
        found = [self._holders.get(word, set()) for word in _WORD.findall(normalize(text))]
        return set.intersection(*found) if found else set()


def make_known_item_tasks(corpus: Corpus, *, limit: int, seed: int) -> list[Task]:
    """Make a task per script and kind of damage, each with at most ``limit`` titles, by lot.

    A title that another video has too is not asked for, nor is one whose query would fit another
    title as well: then nobody could say which is meant. A query is never equal to its title. The
    same seed draws the same queries.

    Raises:
        UsageError: too few titles of any script can be asked for.
    """
    titles = {video.video_id: video.title for video in corpus.videos if video.title is not None}
    times = Counter(normalize(title) for title in titles.values())
    holders = TitleHolders(titles)
    by_script: dict[str, list[str]] = defaultdict(list)
    for video_id, title in titles.items():
        script = find_script(title)
        if script is not None and times[normalize(title)] == 1:
            by_script[script].append(video_id)

    def make_query(kind: str, video_id: str, script: str, rng: np.random.Generator) -> str | None:
        for _ in range(_TRIES):
            made = damage_title(kind, titles[video_id], script, rng)
            if (
                made is not None
                and holders.find(" ".join(made.meant)) == {video_id}
                and holders.find(made.text) <= {video_id}
            ):
                return made.text
        return None

    tasks = []
    for script, video_ids in sorted(by_script.items()):
        for number, kind in enumerate(DAMAGES):
            rng = np.random.default_rng([seed, number, *script.encode()])
            drawn = (video_ids[at] for at in rng.permutation(len(video_ids)))
            asked = ((one, make_query(kind, one, script, rng)) for one in drawn)
            told = islice(((one, text) for one, text in asked if text is not None), limit)
            queries = {video_id: TaskQuery(text=text) for video_id, text in told}
            if len(queries) >= LEAST_TITLES:
                name = f"{corpus.name}, {script.capitalize()}, {kind}"
                qrels = {video_id: {video_id: 1} for video_id in queries}
                tasks.append(Task(FAMILY, name, corpus, queries, qrels))
    if not tasks:
        why = "too few titles that are like no other for a known-item task"
        raise UsageError(f"{corpus.name}: {why}")
    return tasks
