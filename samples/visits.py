"""What drawn people are shown, page after page, and what they do there.

A click is by lot, and how much of the video is watched: so what is to be expected of an impression
is known exactly.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from twinlens.samples.world import SUBJECT_NAMES, Floats, Ints, Mask, People, Tastes, Videos

HITS: Final = 10
SURFACES: Final = ("home", "related", "search")
_HOME, _RELATED, _SEARCH = range(3)
# Nobody watches on for longer.
MOST_WATCHED_S: Final = 900.0
# A lower place is looked at less; where nobody scrolled to, nothing is seen at all.
PLACE_BIAS: Final = np.arange(1, HITS + 1) ** -0.4
_HOUR: Final = 1 / 24
# Pages are made of so many videos of a large catalogue, drawn by lot, and of the new ones.
_POOL: Final = 1500
_CONCENTRATION: Final = 2.5
_BY_DEVICE: Final = np.array((0.0, -0.4, 0.5))

# Columns of hits, in the order in which they were served: see `Visitors.visit`.
Hits = dict[str, npt.NDArray[Any]]


class Visitors:
    """People on their way through a log, and what they remember."""

    def __init__(
        self, people: People, videos: Videos, tastes: Tastes, rng: np.random.Generator
    ) -> None:
        self.people, self.videos, self.tastes, self.rng = people, videos, tastes, rng
        count = len(people.pages)
        self.loyalty = people.loyalty.copy()
        self.shown = np.zeros((count, len(videos.rows)), dtype=np.int64)
        self.watched = np.zeros((count, len(videos.rows)), dtype=np.bool_)
        self.weary = np.zeros((count, len(SUBJECT_NAMES)))
        self.last, self.wanted = np.full((2, count), -1)
        self.last_at, self.wanted_until = np.full((2, count), -np.inf)

    def visit(self) -> Hits:
        """Return the hits of all pages, arrays of shape (n,), by person and page.

        ``person`` and ``page`` count from 0, ``position`` from 1. ``searched`` is a subject or -1.
        ``click_chance`` is there if the hit is seen, ``expected_s`` the seconds then watched on
        average, 0 without a click. ``due``: the part of the series before it was watched;
        ``wanted``: its subject was searched for not long ago; ``weary``: so much less does it
        appeal after what was watched of its subject; ``shown`` so often before.
        """
        pages = self.people.pages
        parts = [
            self._ask(np.flatnonzero(~np.isnan(pages[:, page])), page)
            for page in range(pages.shape[1])
        ]
        joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        order = np.argsort(joined["person"], kind="stable")
        return {name: of[order] for name, of in joined.items()}

    def _ask(self, who: Ints, page: int) -> Hits:
        """Return the hits of a page of each, and remember what they did."""
        videos, days = self.videos, self.people.pages[who, page]
        surfaces, searched = self._choose_surfaces(who, page, days)
        pool = self._draw_pool(who, days)
        appeal = _Appeal(self, who, days, pool)
        places = self._serve(who, days, pool, appeal, surfaces)
        rows, hits = np.arange(len(who))[:, None], pool[places]
        chance, share = appeal.judge(rows, places, surfaces)
        length = np.minimum(videos.durations_s[hits], MOST_WATCHED_S)
        seen = np.arange(HITS) < (2 + self.rng.geometric(0.12, len(who)))[:, None]
        clicked = seen & (self.rng.random(hits.shape) < chance)
        watched = self.rng.beta(share * _CONCENTRATION, (1 - share) * _CONCENTRATION) * clicked
        lots = self.rng.random(hits.shape)
        disliked = appeal.affinity[rows, places] < -1
        done: Hits = {
            "person": who[:, None],
            "page": np.array(page),
            "day": days[:, None],
            "position": np.arange(1, HITS + 1),
            "surface": surfaces[:, None],
            "searched": searched[:, None],
            "video": hits,
            "seen": seen,
            "clicked": clicked,
            "watched_s": watched * length,
            "liked": (watched > 0.7) & (lots < 0.15),
            "not_interested": seen & ~clicked & disliked & (lots < 0.02),
            "click_chance": chance,
            "expected_s": chance * share * length,
            "due": appeal.due[rows, places],
            "wanted": appeal.wanted[rows, places],
            "weary": self.weary[who[:, None], videos.subjects[hits]],
            "shown": self.shown[who[:, None], hits],
        }
        done = {name: np.broadcast_to(of, hits.shape).ravel() for name, of in done.items()}
        self._remember(done)
        return done

    def _choose_surfaces(self, who: Ints, page: int, days: Floats) -> tuple[Ints, Ints]:
        """Return where each page is, and the subject of those who search, -1 of others."""
        lots = self.rng.random(len(who))
        goes_on = ~self.people.begins[who, page] & (self.last[who] >= 0)
        surfaces = np.where(goes_on & (lots > 0.75), _RELATED, _HOME)
        surfaces[lots < 0.2] = _SEARCH
        # Half of the searches are for what they like, the others for anything.
        tastes = self.people.taste[who] * (self.rng.random((len(who), 1)) < 0.5)
        subjects = np.argmax(tastes + self.rng.gumbel(size=tastes.shape), axis=1)
        searching = surfaces == _SEARCH
        self.wanted[who[searching]] = subjects[searching]
        self.wanted_until[who[searching]] = days[searching] + 12 * _HOUR
        return surfaces, np.where(searching, subjects, -1)

    def _draw_pool(self, who: Ints, days: Floats) -> Ints:
        """Return which videos can be on these pages; parts that someone waits for always can."""
        videos = self.videos
        drawn = self.rng.permutation(len(videos.rows))[:_POOL]
        begun = self.watched[who][:, videos.previous].any(axis=0) & (videos.previous >= 0)
        new = (videos.published > 0) & (videos.published < days.max(initial=0))
        return np.union1d(drawn, np.flatnonzero(new | begun))

    def _serve(self, who: Ints, days: Floats, pool: Ints, appeal: _Appeal, surfaces: Ints) -> Ints:
        """Return the hits of each page, best first, as places in ``pool``."""
        videos, shown = self.videos, self.shown[who][:, pool]
        keys = 0.7 * appeal.interest + 0.5 * videos.quality[pool] + 2 * appeal.due
        keys += self.rng.gumbel(size=keys.shape)
        # What was shown and left is shown again, for a while.
        keys += 1.2 * ((shown > 0) & (shown < 6)) - 4.0 * self.watched[who][:, pool]
        same = videos.subjects[pool] == videos.subjects[self.last[who]][:, None]
        keys += (surfaces == _RELATED)[:, None] * 3.0 * (same + appeal.due)
        keys += (surfaces == _SEARCH)[:, None] * 12.0 * appeal.wanted
        keys[videos.published[pool] > days[:, None]] = -np.inf
        return np.argsort(-keys, axis=1)[:, :HITS]

    def _remember(self, hits: Hits) -> None:
        seen, clicked = hits["seen"], hits["clicked"]
        who, videos = hits["person"], hits["video"]
        np.add.at(self.shown, (who[seen], videos[seen]), 1)
        self.watched[who[clicked], videos[clicked]] = True
        self.weary[who[::HITS]] *= 0.85
        np.add.at(self.weary, (who[clicked], self.videos.subjects[videos[clicked]]), 0.4)
        banned = hits["not_interested"]
        self.loyalty[who[banned], self.videos.channels[videos[banned]]] -= 2.0
        # Of several the last assignment stands.
        self.last[who[clicked]] = videos[clicked]
        self.last_at[who[clicked]] = hits["day"][clicked]


class _Appeal:
    """What videos of a pool are to some people at a moment, arrays of shape (people, pool)."""

    def __init__(self, visitors: Visitors, who: Ints, days: Floats, pool: Ints) -> None:
        people, videos = visitors.people, visitors.videos
        self.visitors, self.who, self.days, self.pool = visitors, who, days, pool
        subjects, previous = videos.subjects[pool], videos.previous[pool]
        self.affinity = people.taste[who][:, subjects]
        self.affinity += people.speaks[who][:, videos.languages[pool]]
        self.affinity += visitors.loyalty[who][:, videos.channels[pool]]
        begun = visitors.watched[who][:, previous] & (previous >= 0)
        self.due: Mask = begun & ~visitors.watched[who][:, pool]
        self.wanted: Mask = visitors.wanted[who][:, None] == subjects
        self.wanted &= (visitors.wanted_until[who] >= days)[:, None]
        mood = (videos.subjects[visitors.last[who]])[:, None] == subjects
        mood &= (visitors.last_at[who] > days - 6 * _HOUR)[:, None]
        age = np.maximum(days[:, None] - videos.published[pool], 0.0)
        self.interest: Floats = (
            self.affinity
            + visitors.tastes.find_fashion(days)[:, subjects]
            + 1.5 * np.exp(-age / 2.0)
            + 2.5 * self.due
            - 1.2 * ((previous >= 0) & ~begun)
            + 1.5 * self.wanted
            + 0.7 * mood
            - visitors.weary[who][:, subjects]
        )

    def judge(self, rows: Ints, places: Ints, surfaces: Ints) -> tuple[Floats, Floats]:
        """Return the chance of a click on each hit, where it is seen, and the mean share then."""
        visitors, who, hits = self.visitors, self.who[:, None], self.pool[places]
        people, videos = visitors.people, visitors.videos
        click = self.interest[rows, places] - 1.9 + people.eagerness[who]
        click += 0.5 * videos.quality[hits] + 2.0 * videos.clickbait[hits]
        click -= 0.45 * np.minimum(visitors.shown[who, hits], 4) + 2.0 * visitors.watched[who, hits]
        click += 0.5 * (surfaces == _SEARCH)[:, None]
        share = 0.4 * self.affinity[rows, places] + 0.8 * self.due[rows, places] - 0.3
        share += people.patience[who] + 0.8 * videos.quality[hits] - 2.5 * videos.clickbait[hits]
        share += _BY_DEVICE[people.devices[who]] + 0.4 * (self.days % 1 > 18 * _HOUR)[:, None]
        chances = _squash(np.clip(click, -3.4, 0.7)) * PLACE_BIAS
        return chances, _squash(np.clip(share, -3.0, 2.5))


def _squash(logits: Floats) -> Floats:
    squashed: Floats = 1 / (1 + np.exp(-logits))
    return squashed
