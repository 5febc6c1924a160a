"""What the candidate network is told of a person: the same numbers in training and at a request."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, NamedTuple, Self

import numpy as np

from twinlens.catalog.vectors import FloatMatrix
from twinlens.encoders.words import fold_words
from twinlens.events.event import EventType
from twinlens.recommender.content import Bags
from twinlens.recommender.interactions import CONTEXT, Floats, Interactions, Ints, Texts
from twinlens.recommender.person import MOST_KNOWN, Context, Person, is_completed

MOST_WATCHES: Final = 50
# A word, a region, ... is known from so many people on, so that none of them can be made out by it.
LEAST_PEOPLE: Final = 5
KINDS: Final = (*CONTEXT, "gender")
_MOST_WORDS: Final = 50_000
_MOST_CATEGORIES: Final = 1000
_DAY_S: Final = 86_400.0
_MOST_AGE: Final = 100.0
DEMOGRAPHIC_REALS: Final = ("age", "age is known", "logged in", "logged in is known")
# The example age stands between two of these: of 0, 1, 3, 7, ... days.
_AGE_KNOTS: Final = 8
REALS: Final = len(DEMOGRAPHIC_REALS) + 5 + _AGE_KNOTS


class PersonInputs(NamedTuple):
    """Inputs of n people: ``history`` (n, 50) are rows of videos, the latest first, -1 for none.

    ``words`` has a bag a person, of the words of searches, sorted: their order is not told.
    ``categories`` (n, kinds) are codes, 0 for unknown. ``reals`` is float32 (n, ``REALS``).
    """

    history: Ints
    words: Bags
    categories: Ints
    reals: FloatMatrix


@dataclass(frozen=True, kw_only=True)
class PersonSpace:
    """How people become numbers: codes by word and by kind and text, and the span of the log.

    ``latest`` is the time of the latest example and ``span_days`` how long before it the first one
    was; both None in a log without times.
    """

    words: Mapping[str, int]
    categories: Mapping[str, Mapping[str, int]]
    latest: float | None
    span_days: float | None

    @classmethod
    def fit(cls, known: Interactions, *, with_example_age: bool = True) -> Self:
        """Return the space of the people of a log."""
        counts = np.diff(known.search_starts)
        persons = np.repeat(np.arange(len(counts)), counts)
        timed = known.times[~np.isnan(known.times) & with_example_age]
        latest = float(timed.max()) if len(timed) else None
        span = None if latest is None else max((latest - float(timed.min())) / _DAY_S, 1.0)
        of_kind: dict[str, tuple[Texts, Ints]] = {
            name: (of, known.persons) for name, of in known.contexts.items()
        }
        of_kind["gender"] = known.demographics.genders, np.arange(len(known.person_ids))
        return cls(
            words=_number_words(known.searches, persons),
            categories=_number_categories(of_kind),
            latest=latest,
            span_days=span,
        )

    @property
    def category_count(self) -> int:
        """How many codes of categories there are, with 0 for unknown."""
        return 1 + sum(len(of) for of in self.categories.values())

    def make_reals(
        self, ages: Floats, logged_in: Floats, example_days: Floats, watches: Ints
    ) -> FloatMatrix:
        """Return (n, ``REALS``): what is not known is 0, beside a flag.

        ``example_days`` is the example age, NaN where the time of the example is not known.

        Source: Covington et al. 2016, 3.3 and 4.2 (normalised to [0, 1]; powers of the same).
        The knots are ours.
        """
        share = np.clip(example_days / (self.span_days or 1.0), 0.0, 1.0)
        # Older than all that have a time.
        share = np.where(np.isnan(share), 1.0 if self.span_days else 0.0, share)
        columns = [
            np.nan_to_num(np.clip(ages, 0, _MOST_AGE) / _MOST_AGE),
            ~np.isnan(ages),
            np.nan_to_num(logged_in),
            ~np.isnan(logged_in),
            share,
            share**2,
            np.sqrt(share),
            np.isnan(example_days) & (self.span_days is not None),
            np.log1p(watches) / np.log1p(MOST_WATCHES),
        ]
        # Powers alone tell one day from the next too faintly to learn what that day's fashion is.
        ages = np.where(np.isnan(example_days), np.inf, np.maximum(example_days, 0))
        knots = np.minimum(np.log2(1 + ages), _AGE_KNOTS - 1)[:, None] - np.arange(_AGE_KNOTS)
        columns += [*(np.maximum(1 - abs(knots), 0) * (self.span_days is not None)).T]
        return np.stack(columns, axis=1, dtype=np.float32, casting="unsafe")

    def find_words(self, text: str) -> list[int]:
        """Return the codes of the words and pairs of words of a search."""
        return [code for one in _list_words(text) if (code := self.words.get(one)) is not None]

    def encode(self, person: Person, context: Context, rows: Mapping[str, int]) -> PersonInputs:
        """Return the inputs of one person at a request; ``rows`` are those of known videos.

        The example age is 0: now.
        """
        completed = [
            row
            for watch in person.watches[-MOST_KNOWN[EventType.WATCH] :]
            if (row := rows.get(watch.video_id or "")) is not None
            and is_completed(watch.watched_s, watch.duration_s)
        ][-MOST_WATCHES:]
        history = np.full((1, MOST_WATCHES), -1, dtype=np.int64)
        history[0, : len(completed)] = completed[::-1]
        searches = person.searches[-MOST_KNOWN[EventType.SEARCH] :]
        words = sorted(code for one in searches for code in self.find_words(one.text or ""))
        said = [getattr(context, kind) for kind in KINDS]
        codes = [
            self.categories[kind].get(value, 0) for kind, value in zip(KINDS, said, strict=True)
        ]
        return PersonInputs(
            history,
            Bags.join([words]),
            np.array([codes], dtype=np.int64),
            self.make_reals(
                _to_number(context.age),
                _to_number(context.logged_in),
                np.zeros(1),
                np.array([len(completed)]),
            ),
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values; ``from_json`` is its inverse."""
        return {
            "words": list(self.words),
            "categories": {kind: list(of) for kind, of in self.categories.items()},
            "latest": self.latest,
            "span_days": self.span_days,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return the space of these values."""
        words = {word: code for code, word in enumerate(values["words"])}
        categories, count = {}, 1
        for kind, of in values["categories"].items():
            categories[kind] = {text: count + at for at, text in enumerate(of)}
            count += len(of)
        return cls(
            words=words,
            categories=categories,
            latest=values["latest"],
            span_days=values["span_days"],
        )


class PersonEncoder:
    """Inputs of many examples, each from only what came before its label."""

    def __init__(self, known: Interactions, space: PersonSpace) -> None:
        self._known = known
        self._space = space
        self._persons = known.persons
        self._words = Bags.join([space.find_words(text) for text in known.searches])
        self._codes = {
            name: _recode(of, space.categories[name]) for name, of in known.contexts.items()
        }
        self._genders = _recode(known.demographics.genders, space.categories["gender"])

    def encode(self, labels: Ints, *, example_days: float | None = None) -> PersonInputs:
        """Return the inputs of the examples whose labels are these watches.

        ``example_days`` stands for the age of each; that of a request is 0.
        """
        known = self._known
        persons = self._persons[labels]
        history, watches = self._find_history(labels, persons)
        first = known.search_starts[persons]
        # Searches of everyone are in the order of their places, as watches are.
        after = np.searchsorted(known.search_places, known.places[labels])
        first = np.maximum(first, after - MOST_KNOWN[EventType.SEARCH])
        words = _sort_each(self._words.slice_each(first, np.maximum(after, first)))
        categories = [self._codes[name][labels] for name in CONTEXT] + [self._genders[persons]]
        if self._space.latest is None:
            days = np.zeros(len(labels))
        elif example_days is not None:
            days = np.full(len(labels), example_days)
        else:
            days = (self._space.latest - known.times[labels]) / _DAY_S
        reals = self._space.make_reals(
            known.demographics.ages[persons], known.demographics.logged_in[persons], days, watches
        )
        return PersonInputs(history, words, np.stack(categories, axis=1), reals)

    def _find_history(self, labels: Ints, persons: Ints) -> tuple[Ints, Ints]:
        known = self._known
        # A request knows so many watches, completed or not.
        oldest = np.searchsorted(
            known.ordinals, known.ordinals[labels] - MOST_KNOWN[EventType.WATCH]
        )
        first = np.maximum(known.starts[persons], oldest)
        places = labels[:, None] - 1 - np.arange(MOST_WATCHES)
        known_there = places >= first[:, None]
        history = np.where(known_there, known.videos[np.maximum(places, 0)], -1).astype(np.int64)
        return history, known_there.sum(axis=1)


def _to_number(value: float | None) -> Floats:
    return np.array([np.nan if value is None else float(value)])


def _recode(texts: Texts, known: Mapping[str, int]) -> Ints:
    codes = np.array([known.get(value, 0) for value in texts.values] + [0], dtype=np.int64)
    return codes[texts.codes]  # -1 is the last: 0


def _sort_each(bags: Bags) -> Bags:
    owners = np.repeat(np.arange(len(bags.starts) - 1), np.diff(bags.starts))
    return Bags(bags.starts, bags.codes[np.lexsort((bags.codes, owners))])


def _list_words(text: str) -> list[str]:
    """Return the words of a search and the pairs of words that follow each other.

    Source: Covington et al. 2016, 3.2 (queries are tokenised to unigrams and bigrams).
    """
    words = [word.folded for word in fold_words(text)]
    return [*words, *(f"{one} {other}" for one, other in pairwise(words))]


def _number_words(searches: Sequence[str], persons: Iterable[int]) -> dict[str, int]:
    people: defaultdict[str, set[int]] = defaultdict(set)
    for text, person in zip(searches, persons, strict=True):
        for word in _list_words(text):
            people[word].add(person)
    counts = {word: len(of) for word, of in people.items() if len(of) >= LEAST_PEOPLE}
    kept = sorted(counts, key=lambda word: (-counts[word], word))[:_MOST_WORDS]
    return {word: code for code, word in enumerate(kept)}


def _number_categories(of_kind: Mapping[str, tuple[Texts, Ints]]) -> dict[str, dict[str, int]]:
    categories: dict[str, dict[str, int]] = {}
    count = 1
    for kind in KINDS:
        texts, persons = of_kind[kind]
        values, codes = texts.values, texts.codes
        # One number a pair: to sort rows of two takes ten times as long.
        told, everyone = codes >= 0, int(persons.max(initial=0)) + 1
        pairs = np.unique(codes[told].astype(np.int64) * everyone + persons[told])
        people = Counter((pairs // everyone).tolist())
        kept = [code for code, number in people.items() if number >= LEAST_PEOPLE]
        kept = sorted(kept, key=lambda code: (-people[code], values[code]))[:_MOST_CATEGORIES]
        categories[kind] = {values[code]: count + at for at, code in enumerate(kept)}
        count += len(kept)
    return categories
