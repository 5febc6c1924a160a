"""Put the candidates of all sources in one order: fuse, demote, vary, explore."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from twinlens.events.event import Event
from twinlens.recommender.person import Person, is_completed
from twinlens.search.fusion import FusedVideo, Ranking, fuse
from twinlens.stores.base import ScoredVideo

# docs/decisions/0042-the-feed.md says why these.
SOURCE_WEIGHTS: Final[Mapping[str, float]] = {
    "learned": 10.0,
    "like_history": 1.5,
    "popular": 1.0,
    "trending": 0.7,
    "same_channel": 0.7,
    "fresh": 0.5,
}
# What each showing that led to no watch leaves of a score, seen or only served; an older one less.
_LEFT_IF_SEEN: Final = 0.7
_LEFT_IF_SERVED: Final = 0.9
_FORGOTTEN_AFTER_S: Final = 3 * 86_400.0
_LEFT_IF_WATCHED: Final = 0.1
_LEFT_IF_DISLIKED: Final = 0.1
# On a page of 20 so many channels, and on a longer or shorter one in proportion.
LEAST_CHANNELS: Final = 8
_OF_A_PAGE: Final = 20
# The best places of a page are left as they are.
_FIRST_EXPLORED: Final = 2


def fuse_sources(
    found: Mapping[str, Sequence[ScoredVideo]], *, limit: int
) -> list[FusedVideo[str]]:
    """Return the best of what several sources found, by weighted reciprocal rank fusion."""
    rankings = [
        Ranking(key=name, videos=found[name], weight=SOURCE_WEIGHTS.get(name, 1.0))
        for name in sorted(found)
    ]
    return fuse(rankings, limit=limit)


def count_shown(person: Person) -> Mapping[str, Sequence[Event]]:
    """Return the showings of each video after which its person neither watched nor clicked it."""
    answered: dict[str, datetime] = {}
    for event in (*person.watches, *person.clicks):
        if event.video_id and event.at:
            answered[event.video_id] = max(event.at, answered.get(event.video_id, event.at))
    shown: dict[str, list[Event]] = {}
    for event in person.impressions:
        last = answered.get(event.video_id or "")
        if event.video_id and (last is None or event.at is None or event.at > last):
            shown.setdefault(event.video_id, []).append(event)
    return shown


def measure_demotion(
    person: Person, shown: Mapping[str, Sequence[Event]], at: datetime
) -> dict[str, float]:
    """Return what is left of the score of videos, above 0 and below 1; of others all is left.

    Each showing takes a share, less the longer it is ago, and less where it is not known that the
    video came into view. What was watched whole or disliked keeps a tenth.
    """
    left: dict[str, float] = {}
    for video_id, events in shown.items():
        taken = 0.0
        for event in events:
            share = _LEFT_IF_SEEN if event.seen else _LEFT_IF_SERVED
            age_s = 0.0 if event.at is None else max(0.0, (at - event.at).total_seconds())
            taken += math.log(share) * 2 ** (-age_s / _FORGOTTEN_AFTER_S)
        left[video_id] = math.exp(taken)
    for event in person.watches:
        if event.video_id and is_completed(event.watched_s, event.duration_s):
            left[event.video_id] = min(left.get(event.video_id, 1.0), _LEFT_IF_WATCHED)
    for event in person.dislikes:
        if event.video_id:
            left[event.video_id] = min(left.get(event.video_id, 1.0), _LEFT_IF_DISLIKED)
    return left


def spread_channels(channels: Sequence[str | None], *, page: int) -> list[int]:
    """Return all places in a new order, in which each page of ``page`` has enough channels.

    A page of 20 has at least 8 where there are so many, and no more than 3 videos of a channel
    while there are others. A video of no known channel is never held back, and adds none. Within
    these bounds the order stays.
    """
    left = list(range(len(channels)))
    order: list[int] = []
    while left:
        chosen = _fill_page(left, channels, page)
        order += chosen
        taken = set(chosen)
        left = [one for one in left if one not in taken]
    return order


def _fill_page(left: Sequence[int], channels: Sequence[str | None], page: int) -> list[int]:
    wanted = min(
        math.ceil(page * LEAST_CHANNELS / _OF_A_PAGE), len({channels[one] for one in left} - {None})
    )
    most_each = math.ceil(page / max(1, math.ceil(page * LEAST_CHANNELS / _OF_A_PAGE)))
    on_page: Counter[str] = Counter()
    chosen: list[int] = []
    waiting = list(left)
    while waiting and len(chosen) < page:
        must_be_new = page - len(chosen) <= wanted - len(on_page)
        place = next(
            (
                at
                for at, one in enumerate(waiting)
                if _fits(channels[one], on_page, must_be_new, most_each)
            ),
            0,
        )
        one = waiting.pop(place)
        if (channel := channels[one]) is not None:
            on_page[channel] += 1
        chosen.append(one)
    return chosen


def _fits(channel: str | None, on_page: Counter[str], must_be_new: bool, most_each: int) -> bool:
    if channel is None:
        return not must_be_new
    return on_page[channel] < (1 if must_be_new else most_each)


def explore(
    order: Sequence[int], pool: Mapping[int, float], *, share: float, page: int, draw: random.Random
) -> list[tuple[int, float | None]]:
    """Return ``order`` with a ``share`` of its places given to videos of ``pool``, drawn by weight.

    ``pool`` has weights above 0 by place in the candidates. Each explored place comes with the
    chance by which its video was drawn, the others with None. The first two of a page stay as they
    are. What is drawn moves up from where it was, so none is there twice and none is lost.
    """
    waiting = dict(pool)
    mixed: list[tuple[int, float | None]] = []
    rest = list(order)
    drawn: set[int] = set()
    while rest:
        place = len(mixed)
        if place % page >= _FIRST_EXPLORED and draw.random() < share and waiting:
            weights = list(waiting.values())
            [one] = draw.choices(list(waiting), weights)
            mixed.append((one, waiting[one] / sum(weights)))
            drawn.add(one)
        else:
            one = rest.pop(0)
            if one in drawn:
                continue
            mixed.append((one, None))
        waiting.pop(one, None)
    return mixed
