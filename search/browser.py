"""Page through all videos of one generation, in an order or shuffled. Knows no HTTP."""

from __future__ import annotations

import secrets
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, TypeVar

from cachetools import LRUCache
from pydantic import Field, TypeAdapter, ValidationError

from twinlens.catalog.fields import FieldKind
from twinlens.catalog.timing import StageTimes
from twinlens.search.cursor import CursorInvalid, decode_place, digest_request, encode_place
from twinlens.search.facets import Facet, Facets, count_stored_facet, leave_out
from twinlens.search.shuffle import Shuffle
from twinlens.stores.base import Order, SortKey, StoredVideo, VideoBrowser, point_id
from twinlens.stores.browsing import to_sort_key
from twinlens.stores.filters import Filter

DEFAULT_LIMIT: Final = 20
# The largest integer that a double holds exactly: JavaScript has no other numbers.
MAX_SEED: Final = 2**53 - 1
# Seeds that the server draws are short, for people to read and put into a link.
_CHOSEN_SEEDS: Final = 2**31
# Somewhat more than most blocks of a shuffle hold.
_BLOCK_PAGE: Final = 16
_REMEMBERED: Final = 1000

ResultT = TypeVar("ResultT")
_Point = Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
# From the year 1 to 9999 in microseconds since 1970; counts are smaller.
_Whole = Annotated[int, Field(ge=-62_135_596_800_000_000, le=253_402_300_799_999_999, strict=True)]
_Real = Annotated[float, Field(allow_inf_nan=False, strict=True)]
_UNORDERED: Final[TypeAdapter[Any]] = TypeAdapter(tuple[None, _Point])
_BY_MOMENT: Final[TypeAdapter[Any]] = TypeAdapter(tuple[_Whole | None, _Point])
_BY_NUMBER: Final[TypeAdapter[Any]] = TypeAdapter(tuple[_Whole | _Real | None, _Point])
_Natural = Annotated[int, Field(ge=0, le=MAX_SEED, strict=True)]
_SHUFFLED: Final[TypeAdapter[tuple[int, int, int]]] = TypeAdapter(
    tuple[_Natural, _Natural, _Natural]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowseRequest:
    """A request for a page of videos in an order.

    ``shuffled`` excludes ``order``; without a ``seed`` one is drawn. With neither, videos come in
    the store's own order. ``facets`` names fields to count over all videos that pass the filter,
    with ``disjunctive_facets`` but for its own conditions on the field; of one that ``facet_query``
    names, only values whose words begin with the text's.
    """

    filter: Filter | None = None
    order: Order | None = None
    shuffled: bool = False
    seed: int | None = None
    limit: int = DEFAULT_LIMIT
    cursor: str | None = None
    facets: Sequence[str] = ()
    facet_query: Mapping[str, str] = field(default_factory=dict)
    disjunctive_facets: bool = False

    def digest(self) -> str:
        """Return a digest of all that decides which videos come, and when."""
        # Not the seed: the cursor has it, whether it was given or drawn.
        return digest_request("browse", self.filter, self.order, self.shuffled)


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowseResult:
    """One page of videos, the cursor of the next (None on the last), and milliseconds per stage.

    ``total`` is the number of videos that pass the filter; ``seed`` is the shuffle's, or None.
    """

    videos: Sequence[StoredVideo]
    next_cursor: str | None
    total: int
    seed: int | None
    facets: Facets
    timings_ms: Mapping[str, float]


class Browser:
    """Browses one generation. Counts are cached, because a generation never changes."""

    def __init__(
        self,
        reader: VideoBrowser,
        *,
        generation: str,
        draw_seed: Callable[[], int] = lambda: secrets.randbelow(_CHOSEN_SEEDS),
    ) -> None:
        self._reader = reader
        self._generation = generation
        self._draw_seed = draw_seed
        self._counted: LRUCache[object, Any] = LRUCache(_REMEMBERED)
        self._lock = threading.Lock()

    def browse(self, request: BrowseRequest) -> BrowseResult:
        """Return the page of videos that ``request`` asks for.

        Following the cursors meets every video that passes once.

        Raises:
            ValueError: a shuffle with an order, or a seed without a shuffle.
            CursorInvalid: the cursor is damaged, or belongs to another request.
            CursorExpired: the cursor belongs to another generation.
            StoreError: the engine failed.
        """
        if request.shuffled and request.order is not None:
            raise ValueError("a shuffle has no other order")
        if request.seed is not None and not request.shuffled:
            raise ValueError("only a shuffle has a seed")
        stages = StageTimes()
        filter = request.filter
        with stages.stage("count"):
            total = self._count_once(("total", filter), lambda: self._reader.count(filter=filter))
        with stages.stage("browse"):
            seed = None
            if request.shuffled:
                seed, videos, place = self._read_shuffled_page(request, total)
            else:
                videos, place = self._read_page(request)
        with stages.stage("facets"):
            facets = {name: self._count_facet(name, request) for name in request.facets}
        next_cursor = None
        if place is not None:
            next_cursor = encode_place(place, generation=self._generation, request=request.digest())
        return BrowseResult(
            videos=videos,
            next_cursor=next_cursor,
            total=total,
            seed=seed,
            facets=facets,
            timings_ms=stages.to_milliseconds(),
        )

    def _read_page(self, request: BrowseRequest) -> tuple[list[StoredVideo], object | None]:
        """Return the page, and the place after which the next begins."""
        order = request.order
        after = None
        if request.cursor is not None:
            after = SortKey(*self._decode(request, request.cursor, self._choose_key_type(order)))
        # Ask for one more than the page holds, to learn whether there is a next page.
        videos = self._reader.browse(
            limit=request.limit + 1, order=order, after=after, filter=request.filter
        )
        if len(videos) <= request.limit:
            return videos, None
        page = videos[: request.limit]
        return page, list(to_sort_key(page[-1], order, self._reader.fields))

    def _choose_key_type(self, order: Order | None) -> TypeAdapter[Any]:
        if order is None:
            return _UNORDERED
        is_moment = self._reader.fields.find_kind(order.field) is FieldKind.MOMENT
        return _BY_MOMENT if is_moment else _BY_NUMBER

    def _read_shuffled_page(
        self, request: BrowseRequest, total: int
    ) -> tuple[int, list[StoredVideo], object | None]:
        """Return the seed, the page, and the place that the next begins at."""
        block = within = 0
        if request.cursor is None:
            seed = self._draw_seed() if request.seed is None else request.seed
        else:
            seed, block, within = self._decode(request, request.cursor, _SHUFFLED)
            if request.seed not in (None, seed):
                raise CursorInvalid(f"the cursor belongs to the seed {seed}")
        shuffle = Shuffle(seed, total)
        page: list[StoredVideo] = []
        while block < shuffle.blocks:
            members = self._read_block(shuffle, block, request.filter)[within:]
            room = request.limit - len(page)
            page += members[:room]
            if len(members) > room:
                return seed, page, (seed, block, within + room)
            block, within = block + 1, 0
        return seed, page, None

    def _read_block(
        self, shuffle: Shuffle, number: int, filter: Filter | None
    ) -> list[StoredVideo]:
        members: list[StoredVideo] = []
        for start, end in shuffle.find_spans(number):
            members += self._read_span(start, end, filter)
        return sorted(members, key=lambda video: shuffle.make_key(point_id(video.video_id)))

    def _read_span(self, start: int, end: int, filter: Filter | None) -> list[StoredVideo]:
        """Return the videos whose point ids lie from ``start`` up to ``end``."""
        found: list[StoredVideo] = []
        after = SortKey(None, _to_point_id(start - 1)) if start else None
        while True:
            page = self._reader.browse(limit=_BLOCK_PAGE, after=after, filter=filter)
            inside = [video for video in page if uuid.UUID(point_id(video.video_id)).int < end]
            found += inside
            if len(inside) < _BLOCK_PAGE:
                return found
            after = to_sort_key(page[-1], None, self._reader.fields)

    def _decode(self, request: BrowseRequest, cursor: str, of: TypeAdapter[ResultT]) -> ResultT:
        place = decode_place(cursor, generation=self._generation, request=request.digest())
        try:
            return of.validate_python(tuple(place) if isinstance(place, list) else place)
        except ValidationError as error:
            raise CursorInvalid("the cursor is damaged") from error

    def _count_facet(self, name: str, request: BrowseRequest) -> Facet:
        filter, query = request.filter, request.facet_query.get(name)
        if request.disjunctive_facets:
            filter = leave_out(filter, name)
        return self._count_once(
            (name, filter, query), lambda: count_stored_facet(self._reader, name, filter, query)
        )

    def _count_once(self, key: object, count: Callable[[], ResultT]) -> ResultT:
        with self._lock:
            if key in self._counted:
                found: ResultT = self._counted[key]
                return found
        # Two threads may count the same at once: better than one waiting for the other.
        counted = count()
        with self._lock:
            self._counted[key] = counted
        return counted


def _to_point_id(number: int) -> str:
    return str(uuid.UUID(int=number))
