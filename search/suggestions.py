"""What a person may be about to type: titles, channels and tags, by their letters or their sound.

A generation's file of them is mapped into memory, so that the processes of a server share it and a
suggestion asks no engine. Looking one up never lets go of the GIL, for which it would have to queue
with the searches.
"""

from __future__ import annotations

import json
import logging
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush
from itertools import chain, islice
from pathlib import Path
from typing import Final, NamedTuple

from twinlens.catalog.errors import StoreCorrupt, StoreError
from twinlens.catalog.versions import refuse_newer
from twinlens.encoders.sounds import SOUNDS_VERSION
from twinlens.encoders.words import FoldedWord, fold_words
from twinlens.search.suggestion_file import (
    END,
    KINDS,
    LETTERS,
    MOST_WORDS,
    SORTED_BYTES,
    SOUNDS,
    SUGGESTIONS_FORMAT,
    SuggestionKind,
    count_allowed,
    fold,
    hear,
    make_near_keys,
    map_arrays,
    normalize,
    spell,
)
from twinlens.stores.checksums import require_unchanged
from twinlens.stores.generations import SUGGESTIONS_FILE, DataDir, Manifest

# Of a word's sound: one letter is that of half the catalogue.
_LEAST_HEARD: Final = 2
# Entries looked through for those that have all words, in any order.
_MOST_LOOKED_AT: Final = 100
# And for those that have them in this one, of which some may turn out to begin alike alone.
_MOST_WALKED: Final = 1000
_MOST_CORRECTED: Final = 3
_MOST_CANDIDATES: Final = 100

_WAY_OUT: Final = "`twinlens repair` makes it anew"

_log = logging.getLogger(__name__)


class Suggestion(NamedTuple):
    """What may be meant.

    A title is that of the video ``video_id``, of which ``has_thumbnail`` tells. ``videos`` is how
    many are of a channel, or have a tag.
    """

    kind: SuggestionKind
    text: str
    video_id: str | None
    has_thumbnail: bool
    videos: int | None


class Suggested(NamedTuple):
    """The suggestions for what was typed, and what may have been meant by it, else None."""

    suggestions: Sequence[Suggestion]
    did_you_mean: str | None


def open_suggestions(data: DataDir, manifest: Manifest) -> Suggestions | None:
    """Return the suggestions of a generation; None, logged, where they are damaged or not there.

    A generation that was published before there were suggestions has none.
    """
    path = data.locate_generation(manifest.generation) / SUGGESTIONS_FILE
    try:
        require_unchanged(data, manifest, part=SUGGESTIONS_FILE, way_out=_WAY_OUT)
        return Suggestions(path)
    except FileNotFoundError:
        _log.warning(
            "generation %s was published without suggestions; the next `twinlens index` adds them",
            manifest.generation,
        )
    except StoreError as error:
        _log.warning("nothing is suggested: %s", error)
    return None


class Suggestions:
    """The suggestions of one generation; any number of threads may ask.

    Raises:
        FileNotFoundError: there is no such file.
        StoreCorrupt: it can't be read.
        StoreError: a newer TwinLens wrote it.
    """

    def __init__(self, path: Path) -> None:
        try:
            views, metadata = map_arrays(path)
            refuse_newer(f"{path} has", int(metadata["format"]), SUGGESTIONS_FORMAT)
            # By other rules nothing would be heard right.
            ways = (LETTERS, SOUNDS) if metadata["sounds"] == SOUNDS_VERSION else (LETTERS,)
            self._shown = {kind: _Texts(views, f"{kind}.shown") for kind in KINDS}
            self._found_by = {
                kind: {family: _Stretches(views, f"{kind}.{family}") for family in ways}
                for kind in KINDS
            }
            self._words = _Texts(views, "words")
            self._counts = views["words.counts"]
            self._near = views["near.keys"], views["near.words"]
        except FileNotFoundError:
            raise
        except (OSError, LookupError, TypeError, ValueError) as error:
            raise StoreCorrupt(f"{path} can't be read: {error!r}") from error

    def suggest(self, typed: str, *, limit: int) -> Suggested:
        """Return at most ``limit`` suggestions: some channels and tags first, then titles.

        What begins with all that was typed comes before what has it further back, and that before
        what has its words in another order, or sounds like it; of equal ones the most popular is
        first. Where nothing is found, the suggestions are those of ``did_you_mean``.
        """
        words = list(islice(fold_words(typed), MOST_WORDS))
        if not words:
            return Suggested([], None)
        is_open = not typed[-1].isspace()
        found = self._find([word.folded for word in words], limit, is_open=is_open)
        # Of a word that is being typed it is too soon to say that it is a mistake.
        meant = self._correct(typed, words[:-1] if found and is_open else words, is_open=is_open)
        if meant is not None and not found:
            found = self._find(fold(meant), limit, is_open=is_open)
        return Suggested(found, meant)

    def _find(self, words: Sequence[str], limit: int, *, is_open: bool) -> list[Suggestion]:
        titles, channels, tags = (
            [(kind, one) for one in islice(self._list_entries(kind, words, is_open=is_open), limit)]
            for kind in KINDS
        )
        # Channels and tags lead to many videos: they have some places, and those that titles leave.
        share = limit // 4
        titles = titles[: limit - len(channels[:share]) - len(tags[:share])]
        first = [*channels[:share], *tags[:share]]
        first += [*channels[share:], *tags[share:]][: limit - len(titles) - len(first)]
        first.sort(key=lambda one: one[0])  # "channel", "tag"
        return [self._make(kind, number) for kind, number in [*first, *titles]]

    def _list_entries(
        self, kind: SuggestionKind, words: Sequence[str], *, is_open: bool
    ) -> Iterator[int]:
        """Yield the numbers of what is found, each once, the best first."""
        given: set[int] = set()
        for family, stretches in self._found_by[kind].items():
            if family == SOUNDS:
                words = [hear(word) for word in words]
                if len(words[0]) < _LEAST_HEARD and len(words) == 1:
                    return
            typed = spell(words, is_open=is_open)
            found = stretches.find(typed)
            if kind == "title":
                found = chain(found, stretches.find_in_any_order(typed))
            for number in found:
                if number not in given:
                    given.add(number)
                    yield number

    def _make(self, kind: SuggestionKind, number: int) -> Suggestion:
        text, *rest = json.loads(bytes(self._shown[kind][number]))
        if kind == "title":
            return Suggestion(kind, text, rest[0], rest[1], None)
        return Suggestion(kind, text, None, False, rest[0])

    def _correct(self, typed: str, words: Sequence[FoldedWord], *, is_open: bool) -> str | None:
        """Return ``typed`` with those of its ``words`` that are unknown replaced by near ones.

        None if all are known, or have no near one. The last of all may go on if it ``is_open``.
        """
        unknown = [
            word
            for word in words
            if not self._knows(word.folded, may_go_on=is_open and word.spans[-1][1] == len(typed))
        ]
        corrected = typed
        # From the end on, so that the places of those before stay right.
        for word in reversed(unknown[:_MOST_CORRECTED]):
            if (near := self._find_near(word.folded)) is not None:
                start, end = word.spans[0][0], word.spans[-1][1]
                corrected = f"{corrected[:start]}{near}{corrected[end:]}"
        return None if corrected == typed else corrected

    def _knows(self, word: str, *, may_go_on: bool) -> bool:
        wanted = normalize(word).encode() + (b"" if may_go_on else END)
        at = self._words.find_place(wanted)
        return at < len(self._words) and bytes(self._words[at])[: len(wanted)] == wanted

    def _find_near(self, word: str) -> str | None:
        """Return the known word that is nearest, of equally near ones the most frequent."""
        if not (keys := make_near_keys(word, hear(word))):
            return None
        *left, sound = keys
        alike = self._list_near(sound)
        numbers = alike.union(*map(self._list_near, left))
        mistyped = _Mistakes(word)
        best: tuple[int, int, str] | None = None
        for number in sorted(numbers, key=lambda it: -self._counts[it])[:_MOST_CANDIDATES]:
            near = unicodedata.normalize("NFC", bytes(self._words[number])[:-1].decode())
            mistakes = 1 if number in alike else mistyped.count(near)
            if mistakes <= count_allowed(word):
                best = min(best or (mistakes, 0, near), (mistakes, -self._counts[number], near))
        return best and best[2]

    def _list_near(self, key: int) -> set[int]:
        """Return the numbers of the known words that have this key."""
        keys, owners = self._near
        at = bisect_left(keys, key)
        return set(owners[at : bisect_left(keys, key + 1, at)])


class _Texts:
    """Texts one behind the other, each found by its number."""

    def __init__(self, views: Mapping[str, memoryview], name: str) -> None:
        self._joined, self._starts = views[name], views[f"{name}.starts"]

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, number: int) -> memoryview:
        return self._joined[self._starts[number] : self._starts[number + 1]]

    def find_place(self, wanted: bytes) -> int:
        """Return the number of the first text, of sorted ones, that is not less than ``wanted``."""
        return bisect_left(range(len(self)), wanted, key=lambda number: bytes(self[number]))


class _Stretches:
    """Texts from each of their words on, in order, and a tree that finds the most popular ones."""

    def __init__(self, views: Mapping[str, memoryview], name: str) -> None:
        self._joined, self._starts = views[name], views[f"{name}.starts"]
        self._places, self._tree = views[f"{name}.places"], views[f"{name}.tree"]
        self._entries = len(self._starts) - 1
        self._leaves = len(self._tree) // 2

    def find(self, typed: bytes) -> Iterator[int]:
        """Yield the numbers of entries that have ``typed``, perhaps again, the best first."""
        for rank, leaf in islice(self._walk(*self._find_range(typed)), _MOST_WALKED):
            place = self._places[leaf]
            if len(typed) <= SORTED_BYTES or self._joined[place : place + len(typed)] == typed:
                yield rank % self._entries

    def find_in_any_order(self, typed: bytes) -> Iterator[int]:
        """Yield the numbers of entries that have the words of ``typed``, of several, and so on."""
        words = [word for word in typed.split(b" ") if word]
        if len(words) < 2:
            return
        # All but the last are whole; it is, too, if a space follows it.
        parts = [word + b" " for word in words[:-1]]
        parts.append(words[-1] + (b" " if typed.endswith(b" ") else b""))
        low, high = min(map(self._find_range, parts), key=lambda found: found[1] - found[0])
        wanted = [b" " + part for part in parts]
        for rank, _ in islice(self._walk(low, high), _MOST_LOOKED_AT):
            number = rank % self._entries
            text = b" " + self._joined[self._starts[number] : self._starts[number + 1]]
            if all(part in text for part in wanted):
                yield number

    def _find_range(self, typed: bytes) -> tuple[int, int]:
        """Return where the stretches begin and end that begin with ``typed``."""
        wanted = typed[:SORTED_BYTES]
        size = len(wanted)

        def read(place: int) -> bytes:
            return bytes(self._joined[place : place + size])

        low = bisect_left(self._places, wanted, key=read)
        # No text has this byte.
        return low, bisect_left(self._places, wanted + b"\xff", low, key=read)

    def _walk(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """Yield the ranks of the leaves from ``low`` to ``high``, with these, the least first."""
        tree, leaves = self._tree, self._leaves
        waiting: list[tuple[int, int]] = []
        low, high = low + leaves, high + leaves
        while low < high:
            if low & 1:
                waiting.append((tree[low], low))
                low += 1
            if high & 1:
                high -= 1
                waiting.append((tree[high], high))
            low, high = low // 2, high // 2
        heapify(waiting)
        while waiting:
            rank, node = heappop(waiting)
            while node < leaves:
                node *= 2
                if tree[node] != rank:
                    node += 1
                other = node ^ 1
                heappush(waiting, (tree[other], other))
            yield rank, node - leaves


class _Mistakes:
    """Counts how many letters of a word are added, left out, another, or swapped with the next.

    Source: Hyyrö, A Bit-Vector Algorithm for Computing Levenshtein and Damerau Edit Distances,
    2003: a column of the table of distances is two whole numbers, a bit for each letter.
    """

    def __init__(self, word: str) -> None:
        self._size = len(word)
        self._places: dict[str, int] = {}
        for at, letter in enumerate(word):
            self._places[letter] = self._places.get(letter, 0) | 1 << at

    def count(self, other: str) -> int:
        """Return the least number of them that makes the word of ``other``."""
        every = (1 << self._size) - 1
        last = 1 << self._size - 1
        rising, falling, zero, before = every, 0, 0, 0
        mistakes = self._size
        for letter in other:
            same = self._places.get(letter, 0)
            swapped = (~zero & same) << 1 & before
            zero = ((same & rising) + rising ^ rising | same | falling | swapped) & every
            up = falling | ~(zero | rising) & every
            down = zero & rising
            mistakes += bool(up & last) - bool(down & last)
            up = up << 1 | 1
            rising = (down << 1 | ~(zero | up)) & every
            falling = up & zero
            before = same
        return mistakes
