"""``rules.toml``: synonyms, and videos that a query is to show first or never; read when changed.

[[synonyms]]
words = ["tv", "television"]            # each finds what the others find

[[synonyms]]
word = "lka"                            # finds what it means, and not the other way
means = ["sri lanka"]

[[queries]]
query = ["cricket", "ක්‍රිකට්"]
pin = ["abc", "def"]
hide = ["ghi"]
from = 2026-12-01                       # of any rule: a day in UTC, or a moment
until = 2027-01-01T00:00:00+05:30       # the first moment at which it no longer holds
"""

from __future__ import annotations

import hashlib
import logging
import threading
import tomllib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from twinlens.catalog.errors import UsageError
from twinlens.catalog.fields import Fields
from twinlens.catalog.video import MAX_VIDEO_ID_LENGTH
from twinlens.encoders.words import FoldedWord, fold_words
from twinlens.search.phrases import Phrase
from twinlens.search.request import HitsRequest, MultiSearchRequest, SearchRequest
from twinlens.search.steering import NO_STEERING, Boost, Ruling

# A file of this size is read in about a second, while others are held up.
MOST_BYTES: Final = 1024 * 1024
# Texts that a search asks beside its own: each is encoded, and asks every lens that it can.
MOST_TEXTS: Final = 3

_log = logging.getLogger(__name__)


class RulesInvalid(UsageError, ValueError):
    """``rules.toml`` can't be used; the message is one sentence that says where and why."""


def _check_words(text: str) -> str:
    if not Phrase.of(text).words:
        raise ValueError(f"{text!r} has no word in it")
    return text


def _to_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _to_moment(value: object) -> object:
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise ValueError(f"{value} has no offset; write Z behind it, or only the day")
        return value
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC)
    raise ValueError("write a day such as 2026-12-31, or a moment with an offset, without quotes")


_Words = Annotated[
    str, StringConstraints(min_length=1, max_length=200), AfterValidator(_check_words)
]
_Id = Annotated[str, StringConstraints(min_length=1, max_length=MAX_VIDEO_ID_LENGTH)]
_Moment = Annotated[datetime, BeforeValidator(_to_moment)]
_Queries = Annotated[list[_Words], Field(min_length=1, max_length=100), BeforeValidator(_to_list)]


class _Row(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, populate_by_name=True)

    begin: _Moment | None = Field(None, alias="from")
    until: _Moment | None = None

    @model_validator(mode="after")
    def _check_period(self) -> Self:
        if self.begin is not None and self.until is not None and self.begin >= self.until:
            raise ValueError("it ends before it begins: until has to be later than from")
        return self

    def holds_at(self, at: datetime) -> bool:
        return (self.begin is None or self.begin <= at) and (self.until is None or at < self.until)


class _Synonyms(_Row):
    words: Annotated[list[_Words], Field(min_length=2, max_length=20)] | None = None
    word: _Words | None = None
    means: Annotated[list[_Words], Field(min_length=1, max_length=20)] | None = None

    @model_validator(mode="after")
    def _check_ways(self) -> Self:
        one_way = self.word is not None, self.means is not None
        if not (one_way == (False, False) if self.words is not None else all(one_way)):
            raise ValueError("give either words, or word and means")
        return self

    def list_pairs(self) -> Iterator[tuple[str, list[str]]]:
        """Yield what may be typed, and what it finds, too."""
        if self.word is not None and self.means is not None:
            yield self.word, self.means
        for one in self.words or ():
            yield one, [other for other in self.words or () if other != one]


class _Query(_Row):
    query: _Queries
    pin: Annotated[list[_Id], Field(max_length=100)] = []
    hide: Annotated[list[_Id], Field(max_length=1000)] = []

    @model_validator(mode="after")
    def _check_use(self) -> Self:
        if not (self.pin or self.hide):
            raise ValueError("it neither pins nor hides a video")
        if both := set(self.pin) & set(self.hide):
            raise ValueError(f"{min(both)!r} is both pinned and hidden")
        return self


class _Document(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    synonyms: Annotated[list[_Synonyms], Field(max_length=5000)] = []
    queries: Annotated[list[_Query], Field(max_length=10_000)] = []


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of a file. Never changes.

    Words are compared as the ranking by words compares them: case, accents, and signs that don't
    show make no difference, and nor does what stands between words.
    """

    digest: str = ""
    _synonyms: dict[tuple[str, ...], list[tuple[_Row, str]]] = field(default_factory=dict)
    _queries: dict[tuple[str, ...], list[_Query]] = field(default_factory=dict)
    _changes: Sequence[datetime] = ()
    _longest: int = 0

    @classmethod
    def parse(cls, text: str) -> Rules:
        """Return the rules that the text of a file holds.

        Raises:
            RulesInvalid: it is not TOML, or not such rules.
        """
        try:
            document = _Document.model_validate(tomllib.loads(text))
        except ValidationError as error:
            raise RulesInvalid(_describe(error)) from error
        except (ValueError, RecursionError) as error:
            raise RulesInvalid(f"not TOML: {error}") from error
        synonyms: dict[tuple[str, ...], list[tuple[_Row, str]]] = {}
        for row in document.synonyms:
            for typed, found in row.list_pairs():
                of_typed = synonyms.setdefault(Phrase.of(typed).words, [])
                of_typed += [(row, one) for one in found]
        made = cls(
            hashlib.blake2b(text.encode(), digest_size=8).hexdigest(),
            synonyms,
            _changes=sorted(_list_changes([*document.synonyms, *document.queries])),
            _longest=max(map(len, synonyms), default=0),
        )
        for rule in document.queries:
            for query in dict.fromkeys(Phrase.of(one).words for one in rule.query):
                made._queries.setdefault(query, []).append(rule)
        return made

    def name_version(self, at: datetime) -> str:
        """Return what changes with whatever these rules say; with the moment, as some have ends."""
        return f"{self.digest}-{bisect_right(self._changes, at)}" if self.digest else ""

    def judge(self, text: str, at: datetime) -> Ruling:
        """Return what these rules say, at this moment, of a search for ``text``."""
        words = fold_words(text)
        rules = self._queries.get(tuple(word.folded for word in words), ())
        holding = [one for one in rules if one.holds_at(at)]
        hides = frozenset(one for rule in holding for one in rule.hide)
        pins = dict.fromkeys(one for rule in holding for one in rule.pin if one not in hides)
        return Ruling(tuple(pins), hides, tuple(self._vary(text, words, at)))

    def _vary(self, text: str, words: Sequence[FoldedWord], at: datetime) -> list[str]:
        """Return the text with a synonym in the place of one of its words, at most so many."""
        found: dict[str, None] = {}
        for start in range(len(words)):
            for end in range(min(start + self._longest, len(words)), start, -1):
                typed = tuple(word.folded for word in words[start:end])
                before = text[: words[start].spans[0][0]]
                after = text[words[end - 1].spans[-1][1] :]
                for row, synonym in self._synonyms.get(typed, ()):
                    if row.holds_at(at):
                        found[f"{before}{synonym}{after}"] = None
                    if len(found) == MOST_TEXTS:
                        return list(found)
        return list(found)


class RulesFile:
    """The rules of a file, read again when it has changed; any number of threads may ask.

    Without a file there are no rules; one that ``is_named`` must be there to begin with. While it
    can't be used, the last rules that could be stay in force, the log says so once, and ``problem``
    is the sentence.
    """

    def __init__(self, path: Path, *, is_named: bool = False) -> None:
        self._path = path
        self._is_named = is_named
        self._lock = threading.Lock()
        self._seen: object = None
        self._rules = Rules()
        self.problem: str | None = None

    def load(self) -> None:
        """Read the file for the first time.

        Raises:
            RulesInvalid: it can't be used.
        """
        seen = self._look()
        if seen is None and self._is_named:
            raise RulesInvalid(f"{self._path.name}: there is no such file of rules")
        self._rules = self._parse(seen)
        self._seen = seen

    def read(self) -> Rules:
        """Return the rules in force."""
        if self._look() != self._seen and self._lock.acquire(blocking=False):
            try:
                seen = self._look()
                if seen != self._seen:
                    self._replace(seen)
            finally:
                self._lock.release()
        return self._rules

    def _replace(self, seen: object) -> None:
        try:
            self._rules, self.problem = self._parse(seen), None
            _log.info("%s has changed, and is in force", self._path)
        except RulesInvalid as error:
            self.problem = str(error)
            _log.error("%s; the rules before it stay in force", error)
        self._seen = seen

    def _parse(self, seen: object) -> Rules:
        if seen is None:
            return Rules()
        try:
            with self._path.open("rb") as file:
                data = file.read(MOST_BYTES + 1)
            if len(data) > MOST_BYTES:
                raise RulesInvalid(f"larger than {MOST_BYTES:,} bytes")
            return Rules.parse(data.decode("utf-8-sig"))
        except OSError as error:
            raise RulesInvalid(f"{self._path.name} can't be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise RulesInvalid(f"{self._path.name} is not UTF-8 at byte {error.start}") from error
        except RulesInvalid as error:
            raise RulesInvalid(f"{self._path.name}: {error}") from error

    def _look(self) -> object:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            return error.errno
        return found.st_size, found.st_ino, found.st_mtime_ns, found.st_ctime_ns


@dataclass(frozen=True, slots=True)
class Guidance:
    """How the owner steers every request: by rules, and by boosts where it brings none."""

    rules: RulesFile | None = None
    boosts: Sequence[Boost] = ()
    read_now: Callable[[], datetime] = lambda: datetime.now(UTC)

    @property
    def problem(self) -> str | None:
        """Why the rules that stand in the file are not those in force; None where they are."""
        if self.rules is None:
            return None
        self.rules.read()
        return self.rules.problem

    def name_version(self) -> str:
        """Return what changes with whatever this does to requests."""
        said = "" if self.rules is None else self.rules.read().name_version(self.read_now())
        return f"{said} {self.boosts!r}"

    def guide(self, request: HitsRequest, fields: Fields) -> HitsRequest:
        """Return ``request``, over videos that have ``fields``, as it is steered."""
        if request.steering.boosts is None and self.boosts:
            boosts = tuple(one for one in self.boosts if one.find_fault(fields) is None)
            request = replace(request, steering=replace(request.steering, boosts=boosts))
        if self.rules is None:
            return request
        rules, at = self.rules.read(), self.read_now()
        match request:
            case SearchRequest(text=str(text)):
                return replace(request, ruling=rules.judge(text, at))
            case MultiSearchRequest():
                return _guide_several(request, rules, at)
        return request


NO_GUIDANCE: Final = Guidance()


def _guide_several(request: MultiSearchRequest, rules: Rules, at: datetime) -> MultiSearchRequest:
    rulings = [rules.judge(one.text or "", at) for one in request.searches]
    hides = frozenset[str]().union(*(one.hides for one in rulings))
    pins = dict.fromkeys(one for ruling in rulings for one in ruling.pins if one not in hides)
    # What is first and what is nowhere is so in the one ranking.
    searches = [
        replace(search, steering=NO_STEERING, ruling=Ruling(texts=ruling.texts))
        for search, ruling in zip(request.searches, rulings, strict=True)
    ]
    texts = tuple(one for ruling in rulings for one in ruling.texts)
    return replace(request, searches=searches, ruling=Ruling(tuple(pins), hides, texts))


def _list_changes(rows: Iterable[_Row]) -> set[datetime]:
    return {one for row in rows for one in (row.begin, row.until) if one is not None}


def _describe(error: ValidationError) -> str:
    """Return where the first fault lies, with rows counted from 1 as people count, and what."""
    first: Any = error.errors(include_url=False, include_input=False)[0]
    place = [str(step + 1) if isinstance(step, int) else step for step in first["loc"]]
    said = first["msg"].removeprefix("Value error, ")
    return f"{' '.join(place)}: {said}" if place else str(said)
