"""Trains the ranker on a log: seeded, stopped and chosen by the last day."""

from __future__ import annotations

import copy
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from scipy.optimize import isotonic_regression
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torch.optim.lr_scheduler import LinearLR

from twinlens.catalog.errors import UsageError
from twinlens.catalog.vectors import Vector
from twinlens.recommender.features import (
    Contents,
    Features,
    Questions,
    VideoStatistics,
    make_features,
)
from twinlens.recommender.histories import Ints
from twinlens.recommender.impressions import Impressions, RankingLog
from twinlens.recommender.per_user_loss import PagePairs
from twinlens.recommender.quantiles import Quantiles
from twinlens.recommender.ranking_model import Calibration, Objective, RankingModel, RankingSummary
from twinlens.recommender.ranking_network import RankingNetwork
from twinlens.recommender.videos import VideoTable
from twinlens.recommender.vocabularies import Vocabulary

_DAY_MS: Final = 86_400_000
_CHUNK: Final = 8192
_LEAST_PEOPLE: Final = 5
# The rate falls to this share of the first.
_LEAST_RATE: Final = 0.02
# So many groups of equal size, by what the network says, are calibrated by what was watched.
_CALIBRATED_BY: Final = 20

Mask = npt.NDArray[np.bool_]
_Optimizers = tuple[list[torch.optim.Optimizer], list[LinearLR]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RankingOptions:
    """How to train.

    Of ``objectives`` and ``caps`` the first are kept, unless others rank the last day better. A cap
    is a quantile of the seconds watched of the clicked: no watch counts longer; 1 caps none.
    ``drop_rows`` is the share of ids taken for unknown, as new videos will be.
    ``most_impressions``: only the latest so many are learned from. ``vocabulary`` bounds the rows
    of a table of embeddings. ``minutes`` bounds the whole; None does not.
    """

    seed: int = 0
    hidden: tuple[int, ...] = (256,)
    objectives: tuple[Objective, ...] = (Objective.WATCH_TIME_PAPER, Objective.WATCH_TIME)
    caps: tuple[float, ...] = (1.0, 0.9)
    powers: bool = True
    epochs: int = 4
    minutes: float | None = None
    batch_size: int = 1024
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.01
    drop_rows: float = 0.2
    vocabulary: int = 100_000
    most_impressions: int = 3_000_000
    device: str = "cpu"


@dataclass(frozen=True, eq=False, kw_only=True)
class RankingExamples:
    """Impressions and what the ranker sees of each.

    ``days`` counts back from ``end``: 0 is the last day before, -1 whatever came after, which is
    seen as a model that was trained until ``end`` would see it.
    """

    impressions: Impressions
    days: Ints
    features: Features
    contents: Contents
    statistics: VideoStatistics
    counts_served: bool
    end: int

    @classmethod
    def make(
        cls,
        events: pa.Table,
        videos: VideoTable,
        *,
        end: int | None = None,
        vocabulary: int = 100_000,
        most: int | None = None,
    ) -> RankingExamples:
        """Return the examples of a table of ``EVENT_SCHEMA``; ``end`` is in ms since 1970.

        Each day's rates of videos are those of the midnight before, as of a model trained then.

        Raises:
            UsageError: no impression with a moment, or none of a day is clicked, or all are.
        """
        log = RankingLog.from_events(events, videos.rows, videos.durations_s)
        impressions = log.impressions
        if not len(impressions):
            raise UsageError("no impression has a time: a ranker learns from what was shown when")
        end = int(impressions.moments.max()) + 1 if end is None else end
        order = np.argsort(impressions.moments, kind="stable")
        before = order[impressions.moments[order] < end]
        after = order[impressions.moments[order] >= end]
        impressions = impressions.select(np.concatenate([before[-(most or len(before)) :], after]))
        days = np.maximum((end - 1 - impressions.moments) // _DAY_MS, -1)
        for part, name in (days > 0, "before the last day"), (days == 0, "of the last day"):
            if len(np.unique(impressions.clicked[part])) < 2:
                raise UsageError(
                    f"among the impressions {name} not both are some clicked, some not"
                )
        words = _fit_vocabularies(
            impressions.select((days > 0) & impressions.clicked), videos, vocabulary
        )
        contents = Contents(videos, words, sorted(videos.vectors))
        parts = []
        for day in np.unique(days)[::-1]:
            asked = Questions.from_impressions(impressions.select(days == day), contents)
            statistics = VideoStatistics.count(log.histories, end - (day + 1) * _DAY_MS, contents)
            parts.append(make_features(asked, log.histories, contents, statistics))
        return cls(
            impressions=impressions,
            days=days,
            features=Features(
                np.concatenate([part.codes for part in parts]),
                np.concatenate([part.numbers for part in parts]),
                parts[0].names,
            ),
            contents=contents,
            statistics=VideoStatistics.count(log.histories, end, contents),
            counts_served=log.counts_served,
            end=end,
        )

    def select_features(self, mask: Mask) -> Features:
        """Return the features of some."""
        return Features(self.features.codes[mask], self.features.numbers[mask], self.features.names)


def _fit_vocabularies(clicked: Impressions, videos: VideoTable, most: int) -> dict[str, Vocabulary]:
    """Return the vocabulary of each space, by frequency in clicked impressions."""
    rows = clicked.videos[clicked.videos >= 0].tolist()
    told = {name: _list_told(clicked.persons, texts) for name, texts in clicked.context.items()}
    values: Mapping[str, Sequence[str | None]] = {
        **told,
        "video": [videos.video_ids[row] for row in rows],
        "channel": [videos.channels[row] for row in rows],
        "category": [videos.categories[row] for row in rows],
        "tag": [tag for row in rows for tag in videos.tags[row]],
        "language": [*(videos.languages[row] for row in rows), *told["language"]],
    }
    return {name: Vocabulary.fit(of, most=most) for name, of in values.items()}


def _list_told(persons: Ints, texts: npt.NDArray[np.object_]) -> list[str]:
    """Return what people's pages said of them, without what fewer than five people have said."""
    people = Counter(text for _, text in {*zip(persons.tolist(), texts.tolist(), strict=True)})
    return [text for text in texts.tolist() if text is not None and people[text] >= _LEAST_PEOPLE]


class Epoch(NamedTuple):
    """How one epoch went: the mean loss, that of the last day, and the per-user loss there.

    The last is NaN where no page of that day has both a clicked impression and another.
    """

    objective: Objective
    cap_s: float | None
    epoch: int
    loss: float
    last_day_loss: float
    per_user_loss: float


@dataclass
class TrainedRanker:
    """A ranker, the network that it serves, and how its training went."""

    model: RankingModel
    network: RankingNetwork
    history: list[Epoch] = field(default_factory=list)


def train_ranker(
    examples: RankingExamples,
    options: RankingOptions,
    *,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> TrainedRanker:
    """Train one network an objective and cap, and return the best on the last day, calibrated.

    By the per-user loss. The first gives way to one whose gain is above its standard error: one
    day has few pages, and the least of several losses is often luck. Of each the best epoch counts.
    What is served learns from the last day, too, if time is left: so many epochs of that kind.
    """
    run = _Run(examples, options, on_epoch or (lambda _: None))
    with torch.random.fork_rng(devices=[]):
        tried = [run.train(one, cap) for one in options.objectives for cap in options.caps]
        best = _choose(tried, run.pairs)
        if time.monotonic() < run.deadline:
            best = run.train_again(best)
    last_day = examples.days == 0
    known = ~np.isnan(examples.impressions.positions)
    summary = RankingSummary(
        objective=best.epoch.objective,
        cap_s=best.epoch.cap_s,
        powers=options.powers,
        layers=len(options.hidden),
        position=float(examples.impressions.positions[known].min()) if known.any() else None,
        lenses=list(examples.contents.vectors),
        counts_served=examples.counts_served,
        trained_until=examples.end,
        seed=options.seed,
        choices=[one.epoch._asdict() for one in tried],
    )
    model = RankingModel(
        summary=summary,
        weights={name: of.numpy() for name, of in best.network.state_dict().items()},
        calibration=calibrate(best.logits, examples.impressions.watched_s[last_day]),
        vocabularies=examples.contents.vocabularies,
        quantiles=run.quantiles,
        video_ids=examples.contents.video_ids,
        statistics=examples.statistics.videos[:-1],
    )
    return TrainedRanker(model, best.network, run.history)


def calibrate(logits: Vector, watched_s: npt.NDArray[np.floating[Any]]) -> Calibration:
    """Return the rising map from what a network says to what was watched on average.

    Source: isotonic regression, over groups of like size, weighed by it.
    """
    groups = np.array_split(np.argsort(logits, kind="stable"), min(_CALIBRATED_BY, len(logits)))
    said = np.array([np.exp(logits[group].astype(np.float64)).mean() for group in groups])
    watched = np.array([watched_s[group].mean() for group in groups])
    sizes = np.array([len(group) for group in groups], dtype=np.float64)
    rising = isotonic_regression(watched, weights=sizes)
    starts = rising.blocks[:-1]
    # A group of which nothing was watched has no logarithm.
    means = np.maximum(rising.x[starts], 1e-3)
    totals = np.add.reduceat(said * sizes, starts) / np.add.reduceat(sizes, starts)
    return Calibration(np.log(totals), np.log(means))


class _Tried(NamedTuple):
    """A network as it was after its best epoch, and what it says of the last day."""

    cap: float
    epoch: Epoch
    network: RankingNetwork
    logits: Vector


class _Run:
    """All that the networks of one training share."""

    def __init__(
        self, examples: RankingExamples, options: RankingOptions, on_epoch: Callable[[Epoch], None]
    ) -> None:
        self.examples, self.options, self.on_epoch = examples, options, on_epoch
        self.history: list[Epoch] = []
        earlier, last_day = examples.days > 0, examples.days == 0
        numbers = examples.features.numbers
        self.quantiles = Quantiles.fit(examples.features.names, numbers[earlier])
        device = options.device
        self.codes = torch.from_numpy(examples.features.codes).to(device)
        self.numbers = torch.from_numpy(self.quantiles.transform(numbers)).to(device)
        self.clicked = torch.from_numpy(examples.impressions.clicked).to(device)
        self.earlier, self.last_day = (
            torch.from_numpy(np.flatnonzero(part)) for part in (earlier, last_day)
        )
        self.pairs = PagePairs.find(examples.impressions.select(last_day))
        self.deadline = time.monotonic() + 60 * (options.minutes or np.inf)

    def train(self, objective: Objective, cap: float) -> _Tried:
        """Return the network of the epoch that has the least loss on the last day."""
        targets, cap_s = self._cap(cap)
        best: _Tried | None = None
        learning = self._learn(self.earlier, objective, targets, self.options.epochs)
        for number, (network, loss) in enumerate(learning):
            said, at = self._predict(network, self.last_day), self.last_day
            held_out = measure_loss(said, self.clicked[at], targets[at], objective).mean()
            logits = said.cpu().numpy()
            figures = loss, float(held_out), self.pairs.measure_loss(logits)
            epoch = Epoch(objective, cap_s if cap < 1 else None, number, *figures)
            self.history.append(epoch)
            self.on_epoch(epoch)
            if best is None or _is_better(epoch, best.epoch):
                best = _Tried(cap, epoch, copy.deepcopy(network).cpu(), logits)
            if time.monotonic() > self.deadline:
                break
        assert best is not None, "one epoch at least"
        return best

    def train_again(self, best: _Tried) -> _Tried:
        """Return a network that learned for as long as the best one, from the last day too.

        Its logits of that day are in the order of those of the best one, which hadn't seen it.
        """
        rows = torch.cat([self.earlier, self.last_day])
        targets, epochs = self._cap(best.cap)[0], best.epoch.epoch + 1
        *_, (network, _) = self._learn(rows, best.epoch.objective, targets, epochs)
        said = np.sort(self._predict(network, self.last_day).cpu().numpy())
        ranks = np.argsort(np.argsort(best.logits, kind="stable"), kind="stable")
        return best._replace(network=network.cpu(), logits=said[ranks])

    def _cap(self, cap: float) -> tuple[Tensor, float]:
        """Return the seconds watched of each impression, and what they are capped at."""
        watched_s, earlier = self.examples.impressions.watched_s, self.examples.days > 0
        cap_s = float(np.quantile(watched_s[self.examples.impressions.clicked & earlier], cap))
        seconds = np.minimum(watched_s, cap_s).astype(np.float32)
        return torch.from_numpy(seconds).to(self.options.device), cap_s

    def _learn(
        self, rows: Tensor, objective: Objective, targets: Tensor, epochs: int
    ) -> Iterator[tuple[RankingNetwork, float]]:
        """Yield a network and the mean loss after each time that it learned from ``rows``."""
        torch.manual_seed(self.options.seed)
        network = RankingNetwork(
            self.examples.contents.vocabularies,
            self.numbers.shape[1],
            self.options.hidden,
            powers=self.options.powers,
        ).to(self.options.device)
        steps = epochs * math.ceil(len(rows) / self.options.batch_size)
        optimizers = self._make_optimizers(network, steps)
        for _ in range(epochs):
            yield network, self._pass(network, optimizers, rows, objective, targets)

    def _make_optimizers(self, network: RankingNetwork, steps: int) -> _Optimizers:
        rate, decay = self.options.learning_rate, self.options.weight_decay
        others = [*network.hidden.parameters(), *network.logit.parameters()]
        made = [
            torch.optim.SparseAdam([*network.tables.parameters()], lr=rate),
            torch.optim.AdamW(others, lr=rate, weight_decay=decay),
        ]
        return made, [LinearLR(one, 1.0, _LEAST_RATE, total_iters=steps) for one in made]

    def _pass(
        self,
        network: RankingNetwork,
        optimizers: _Optimizers,
        rows: Tensor,
        objective: Objective,
        targets: Tensor,
    ) -> float:
        """Learn from ``rows`` once, in random order; return the mean loss."""
        network.train()
        total = 0.0
        rows = rows[torch.randperm(len(rows))]
        for at in torch.split(rows, self.options.batch_size):
            dropped = self.options.drop_rows
            logits = network(self.codes[at].long(), self.numbers[at], drop_rows=dropped)
            loss = measure_loss(logits, self.clicked[at], targets[at], objective).mean()
            for optimizer in optimizers[0]:
                optimizer.zero_grad()
            torch.autograd.backward(loss)
            for optimizer, schedule in zip(*optimizers, strict=True):
                optimizer.step()
                schedule.step()
            total += float(loss.detach()) * len(at)
        return total / len(rows)

    def _predict(self, network: RankingNetwork, rows: Tensor) -> Tensor:
        network.eval()
        with torch.no_grad():
            parts = [
                network(self.codes[at].long(), self.numbers[at]) for at in torch.split(rows, _CHUNK)
            ]
        return torch.cat(parts)


def _choose(tried: Sequence[_Tried], pairs: PagePairs) -> _Tried:
    if not len(pairs):
        return tried[0]
    gains = [pairs.find_gain(one.logits, tried[0].logits) for one in tried]
    sure = [gain if gain > error else 0.0 for gain, error in gains]
    return tried[int(np.argmax(sure))]


def _is_better(epoch: Epoch, best: Epoch) -> bool:
    if np.isnan(epoch.per_user_loss):
        return epoch.last_day_loss < best.last_day_loss
    return epoch.per_user_loss < best.per_user_loss


def measure_loss(
    logits: Tensor, clicked: Tensor, watched_s: Tensor, objective: Objective
) -> Tensor:
    """Return the loss of each impression, shape (n,).

    With T seconds watched, e^logit comes to ΣT/N by ``watch_time``, where each of N impressions is
    a negative once; by ``watch_time_paper`` to ΣT/(N - k), of k clicked; by ``click`` to k/(N - k).

    Source: Covington et al. 2016, section 4.2.
    """
    positive, negative = F.softplus(-logits), F.softplus(logits)
    match objective:
        case Objective.WATCH_TIME:
            return watched_s * positive + negative
        case Objective.WATCH_TIME_PAPER:
            return torch.where(clicked, watched_s * positive, negative)
        case Objective.CLICK:
            return torch.where(clicked, positive, negative)
