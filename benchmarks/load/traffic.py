"""What the clients ask: a seeded mixture of texts, pictures and "you may also like"."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import cycle, islice
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import quote, urlencode

import numpy as np

from twinlens.backend.schemas.base import API_ROOT
from twinlens.catalog.errors import UsageError
from twinlens.catalog.video import payload_thumbnail_file
from twinlens.stores.base import StoredVideo

# The share of the requests; the rest of the probability is of the texts.
PICTURE_SHARE: Final = 0.15
SIMILAR_SHARE: Final = 0.25
# Half of the texts are drawn from so many popular ones, by Zipf's law, the others from all titles.
POPULAR_TEXTS: Final = 1000
POPULAR_SHARE: Final = 0.5
PICTURES: Final = 200
_MOST_WORDS: Final = 4
_BOUNDARY: Final = "twinlens-load"
# A request line holds 8,190 bytes, and a letter of Sinhala takes nine of them.
_MOST_CHARACTERS: Final = 200


class Kind(StrEnum):
    """What a request asks by; letters only, for it travels in a request's id."""

    TEXT = "text"
    PICTURE = "picture"
    SIMILAR = "similar"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, whoever answers it: a text, the file of a picture, or the id of a video."""

    kind: Kind
    value: str


@dataclass(frozen=True, slots=True)
class Line:
    """A request as the load tool sends it. ``body`` may be ``@`` and the name of a file."""

    kind: Kind
    method: str
    path: str
    content_type: str = ""
    body: str = ""

    def __str__(self) -> str:
        return "\t".join((self.kind, self.method, self.path, self.content_type, self.body))


class Spelling(Protocol):
    """How a server wants to be asked."""

    def line(self, asked: Asked) -> Line:
        """The request in this server's words."""
        ...


@dataclass(slots=True)
class Traffic:
    """Requests drawn from what is in an index; the same seed draws the same."""

    titles: Sequence[str]
    video_ids: Sequence[str]
    pictures: Sequence[str]
    seed: int
    _rng: np.random.Generator = field(init=False)
    _popular: list[str] = field(init=False)
    _shares: list[float] = field(init=False)
    _drawn: set[str] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        if not (self.titles and self.video_ids and self.pictures):
            raise UsageError("the index has no title or no picture to ask by")
        self._rng = np.random.default_rng([self.seed, 2])
        self._popular = [self._text() for _ in range(POPULAR_TEXTS)]
        shares = 1.0 / np.arange(1, POPULAR_TEXTS + 1)
        self._shares = list(np.cumsum(shares / shares.sum()))

    def __iter__(self) -> Iterator[Asked]:
        """Requests without end."""
        while True:
            chance = self._rng.random()
            if chance < PICTURE_SHARE:
                yield Asked(Kind.PICTURE, self._one_of(self.pictures))
            elif chance < PICTURE_SHARE + SIMILAR_SHARE:
                yield Asked(Kind.SIMILAR, self._one_of(self.video_ids))
            else:
                yield Asked(Kind.TEXT, self._drawn_text())

    def new_texts(self, count: int) -> list[str]:
        """Texts that were not drawn before."""
        found: list[str] = []
        for _ in range(count * 100):
            if len(found) == count:
                break
            text = self._text()
            if text not in self._drawn:
                self._drawn.add(text)
                found.append(text)
        return found

    def _drawn_text(self) -> str:
        if self._rng.random() < POPULAR_SHARE:
            place = int(np.searchsorted(self._shares, self._rng.random()))
            text = self._popular[min(place, POPULAR_TEXTS - 1)]
        else:
            text = self._text()
        self._drawn.add(text)
        return text

    def _text(self) -> str:
        """One to four words that stand side by side in a title."""
        words = self._one_of(self.titles).split()
        count = int(self._rng.integers(1, _MOST_WORDS + 1))
        first = int(self._rng.integers(max(1, len(words) - count + 1)))
        return " ".join(words[first : first + count])[:_MOST_CHARACTERS]

    def _one_of(self, values: Sequence[str]) -> str:
        return values[int(self._rng.integers(len(values)))]


def traffic_over(videos: Sequence[StoredVideo], *, seed: int) -> Traffic:
    """Traffic over these stored videos: their titles, ids and pictures."""
    titles = [str(one.payload["title"]) for one in videos if str(one.payload.get("title", ""))]
    files = {payload_thumbnail_file(one.payload): None for one in videos}
    pictures = sorted(file for file in files if file is not None)
    chosen = np.random.default_rng([seed, 3]).permutation(len(pictures))[:PICTURES]
    return Traffic(
        titles,
        [one.video_id for one in videos if one.vectors or one.payload.get("title")],
        [pictures[place] for place in chosen],
        seed,
    )


class TwinLensSpelling:
    """As the API has it: GET for texts and similar videos, a multipart POST for pictures."""

    def __init__(self, pictures: Path, bodies: Path) -> None:
        self._pictures = pictures
        self._bodies = bodies

    def line(self, asked: Asked) -> Line:
        """See ``Spelling``."""
        match asked.kind:
            case Kind.TEXT:
                return Line(asked.kind, "GET", f"{API_ROOT}/search?{urlencode({'q': asked.value})}")
            case Kind.SIMILAR:
                video_id = quote(asked.value, safe="")
                return Line(asked.kind, "GET", f"{API_ROOT}/videos/{video_id}/similar")
            case Kind.PICTURE:
                return Line(
                    asked.kind,
                    "POST",
                    f"{API_ROOT}/search",
                    f"multipart/form-data; boundary={_BOUNDARY}",
                    f"@{self._body(asked.value)}",
                )

    def _body(self, picture: str) -> Path:
        file = self._bodies / f"{picture}.multipart"
        if not file.exists():
            head = (
                f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="image"; '
                f'filename="{picture}"\r\nContent-Type: application/octet-stream\r\n\r\n'
            )
            data = (self._pictures / picture).read_bytes()
            file.write_bytes(head.encode() + data + f"\r\n--{_BOUNDARY}--\r\n".encode())
        return file


class PeerSpelling:
    """As the nearest peer has it: everything by POST to one route, pictures as base64."""

    def __init__(self, pictures: Path, bodies: Path) -> None:
        self._pictures = pictures
        self._bodies = bodies

    def line(self, asked: Asked) -> Line:
        """See ``Spelling``."""
        body = json.dumps({asked.kind.value: asked.value})
        if asked.kind is Kind.PICTURE:
            file = self._bodies / f"{asked.value}.json"
            if not file.exists():
                data = base64.b64encode((self._pictures / asked.value).read_bytes()).decode()
                file.write_text(json.dumps({asked.kind.value: data}), encoding="ascii")
            body = f"@{file}"
        return Line(asked.kind, "POST", "/knn-service", "application/json", body)


def write_requests(asked: Iterable[Asked], spelling: Spelling, file: Path) -> None:
    """Write requests as lines for the load tool."""
    with file.open("w", encoding="utf-8") as opened:
        opened.writelines(f"{spelling.line(one)}\n" for one in asked)


class AskedBefore:
    """Which texts a server was asked before: no memory of texts can have answered more of them."""

    def __init__(self) -> None:
        self._texts: set[str] = set()

    def share(self, asked: Sequence[Asked], count: int) -> float | None:
        """The share of the texts among the first ``count`` of ``asked`` that are no news.

        None where no text is among them. What lies behind the last is taken from the first again,
        as the load tool does it.
        """
        texts = again = 0
        for one in islice(cycle(asked), count):
            if one.kind is Kind.TEXT:
                texts += 1
                again += one.value in self._texts
                self._texts.add(one.value)
        return round(again / texts, 3) if texts else None
