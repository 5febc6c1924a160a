"""Find which videos have a phrase or a word, so that engines can be told of them by their ids.

No engine's own full-text filter reads words as the ranking folds them, in every script, and
published generations have no index for one: docs/decisions/0048-the-owner-steers.md. What all have
is the inverted index that words are ranked by. It lists the videos that have a word, whose texts
are then read and compared. Of a word that very many have, the rankings are read further.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import cachetools
import numpy as np

from twinlens.catalog.vectors import AnyVector, SparseVector
from twinlens.encoders.lens import Lenses, Query
from twinlens.encoders.words import CHARACTER, split_families
from twinlens.search.phrases import UNSPACED, Demands, Phrase, fold_text
from twinlens.stores.base import ScoredVideo, StoredVideo, VectorQuery, VectorReader
from twinlens.stores.filters import Filter, Not, OneOfVideos, join_filters

# docs/decisions/0048-the-owner-steers.md says why these. A Qdrant server that is strict refuses
# more than 2,000 ranks.
MOST_HAVING: Final = 1000
_MOST_ROUNDS: Final = 5
_MOST_RANKS: Final = 2000
_MOST_KEPT: Final = 10_000
_MOST_PHRASES_KEPT: Final = 500

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")


@dataclass(frozen=True, slots=True)
class Bound:
    """Demands in part as a filter, and those that are left to be looked for in what is found."""

    filter: Filter | None
    left: Demands


class TextBinder:
    """Binds what texts demand, over one generation; many threads may ask."""

    def __init__(self, reader: VectorReader, lenses: Lenses) -> None:
        self._reader = reader
        self._sparse = {name: lens for name, lens in lenses.items() if lens.dim is None}
        self._lock = threading.Lock()
        self._having: cachetools.LRUCache[Phrase, frozenset[str] | None] = cachetools.LRUCache(
            _MOST_PHRASES_KEPT
        )
        self._folded: cachetools.LRUCache[str, str] = cachetools.LRUCache(_MOST_KEPT)

    def holds(self, demands: Demands, video: StoredVideo) -> bool:
        """Return whether the texts of ``video`` are as ``demands`` have it."""
        return not demands or demands.hold(fold_text(video.payload, self._reader.fields))

    def bind(self, demands: Demands) -> Bound:
        """Return what of ``demands`` can be put as a filter, and the rest."""
        if not demands:
            return Bound(None, demands)
        having = self._find_having(dict.fromkeys([*demands.phrases, *demands.without]))
        with_all = [those for one in demands.phrases if (those := having[one]) is not None]
        with_any = frozenset[str]().union(*(having[one] or () for one in demands.without))
        parts: list[Filter] = [OneOfVideos(those) for those in with_all]
        if with_any:
            parts.append(Not(OneOfVideos(with_any)))
        left = Demands(
            *(
                tuple(one for one in phrases if having[one] is None)
                for phrases in (demands.phrases, demands.without)
            )
        )
        return Bound(join_filters(*parts), left)

    def search(
        self,
        asked: Sequence[tuple[str, AnyVector]],
        ranks: int,
        *,
        filter: Filter | None,
        bound: Bound,
    ) -> list[list[ScoredVideo]]:
        """Return what ``VectorReader.search`` does, of videos that are as ``bound`` has it.

        Where something is left to look for, more ranks are read until there are enough.
        """
        given = join_filters(filter, bound.filter)
        wrong: frozenset[str] = frozenset()
        limit = ranks
        for _ in range(_MOST_ROUNDS):
            passing = join_filters(given, Not(OneOfVideos(wrong)) if wrong else None)
            answers = self._reader.search(
                [VectorQuery(name, vector, limit) for name, vector in asked], filter=passing
            )
            if not bound.left:
                break
            wrong |= self._find_wrong(bound.left, {one.video_id for of in answers for one in of})
            read = [len(answer) for answer in answers]
            answers = [[one for one in of if one.video_id not in wrong] for of in answers]
            if all(
                len(right) >= ranks or count < limit
                for right, count in zip(answers, read, strict=True)
            ):
                break
            limit = max(ranks, min(2 * limit, _MOST_RANKS))
        return [answer[:ranks] for answer in answers]

    def _find_wrong(self, demands: Demands, video_ids: Collection[str]) -> frozenset[str]:
        folded = self._fold(video_ids)
        return frozenset(one for one in video_ids if not demands.hold(folded.get(one, "")))

    def _find_having(self, phrases: Iterable[Phrase]) -> dict[Phrase, frozenset[str] | None]:
        """Return the videos that have each phrase; None where they are too many to list."""
        found = self._look_up(self._having, phrases)
        if missing := [one for one in phrases if one not in found]:
            listed = self._list_candidates(missing)
            folded = self._fold(frozenset[str]().union(*(of for of in listed.values() if of)))
            read = {
                phrase: None
                if candidates is None
                else frozenset(
                    one for one in candidates if one in folded and phrase.is_in(folded[one])
                )
                for phrase, candidates in listed.items()
            }
            with self._lock:
                self._having.update(read)
            found |= read
        return found

    def _list_candidates(self, phrases: Sequence[Phrase]) -> dict[Phrase, frozenset[str] | None]:
        """Return videos among which are all that have a phrase; None where they are too many."""
        words = dict.fromkeys(word for phrase in phrases for word in phrase.words)
        asked = [
            (word, VectorQuery(name, vector, MOST_HAVING + 1))
            for word in words
            for name, lens in self._sparse.items()
            if (vector := _narrow(word, lens.ask(Query(text=word)))) is not None
        ]
        answers = self._reader.search([query for _, query in asked]) if asked else []
        having: dict[str, set[str] | None] = {}
        for (word, _), answer in zip(asked, answers, strict=True):
            known = having.setdefault(word, set())
            if known is not None:
                known.update(one.video_id for one in answer)
            if len(answer) > MOST_HAVING:
                having[word] = None
        candidates: dict[Phrase, frozenset[str] | None] = {}
        for phrase in phrases:
            listed = [of for word in phrase.words if (of := having.get(word)) is not None]
            candidates[phrase] = frozenset(set.intersection(*listed)) if listed else None
        return candidates

    def _fold(self, video_ids: Collection[str]) -> dict[str, str]:
        """Return the folded texts of those videos that are stored."""
        found = self._look_up(self._folded, video_ids)
        if missing := [one for one in video_ids if one not in found]:
            fields = self._reader.fields
            read = {
                video_id: fold_text(video.payload, fields)
                for video_id, video in self._reader.get(missing).items()
            }
            with self._lock:
                self._folded.update(read)
            found |= read
        return found

    def _look_up(
        self, kept: cachetools.LRUCache[KeyT, ValueT], keys: Iterable[KeyT]
    ) -> dict[KeyT, ValueT]:
        with self._lock:
            return {key: kept[key] for key in keys if key in kept}


def _narrow(word: str, vector: AnyVector | None) -> SparseVector | None:
    """Return a part of a word's vector that shares a term with every text that has the word.

    Of most words one term will do, best the rarest: each text with the word has all of them. A word
    of a script without spaces stands inside longer ones, which have its pieces of two characters.
    """
    if not isinstance(vector, SparseVector) or not vector.indices.size:
        return None
    if UNSPACED.match(word) or UNSPACED.match(word[-1]):
        return vector if len(CHARACTER.findall(word)) > 1 else None
    letters = split_families(vector)[0]  # a name is one of another field
    if letters.indices.size:
        vector = letters
    heaviest = vector.values.argmax()
    ones = np.ones(1, dtype=vector.values.dtype)
    return SparseVector(vector.indices[[heaviest]], ones)
