"""How well impressions are ranked by the seconds watched, on the days after training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.stats import rankdata

from twinlens.catalog.errors import UsageError
from twinlens.evaluate.measures import Mean, bootstrap_mean
from twinlens.recommender.features import FIELDS
from twinlens.recommender.per_user_loss import PagePairs
from twinlens.recommender.ranking_model import Objective
from twinlens.recommender.ranking_training import RankingExamples, RankingOptions, train_ranker
from twinlens.recommender.videos import VideoTable

Scores = npt.NDArray[np.floating[Any]]
Say = Callable[[str], None]

NETWORK: Final = "network"
CLICKS: Final = "network, clicks"
LIGHTGBM: Final = "LightGBM"
# Table 1 of the paper: its hidden layers, and its per-user loss in percent.
TABLE_1: Final[Mapping[tuple[int, ...], float]] = {
    (): 41.6,
    (256,): 36.9,
    (512,): 36.7,
    (1024,): 35.8,
    (512, 256): 35.2,
    (1024, 512): 34.7,
    (1024, 512, 256): 34.6,
}
_RESAMPLES: Final = 2000
_GROUPS: Final = 10


@dataclass(frozen=True, eq=False)
class Ranked:
    """One way to rank: the scores of all later impressions, (n,) a seed; are they seconds?"""

    name: str
    scores: Sequence[Scores]
    predicts_seconds: bool = False


def measure_ranking(
    events: pa.Table,
    videos: VideoTable,
    *,
    end: int,
    options: RankingOptions | None = None,
    seeds: int = 5,
    ablate: bool = False,
    on_step: Say | None = None,
) -> dict[str, Any]:
    """Return figures of rankers that learn from what came before ``end``, on what came after.

    ``end`` is in milliseconds since 1970; ``events`` has ``EVENT_SCHEMA``. The network is held
    against rankings by lot, by each video's mean watch time, by LightGBM on the same features, and
    by a network that learns clicks. ``ablate`` draws the paper's table 1 again, and its two
    ablations. Intervals are by a paired bootstrap over people.

    Raises:
        UsageError: too little to learn from, no page of the later days to judge by, or LightGBM is
            not installed.
    """
    options, say = options or RankingOptions(), on_step or (lambda _: None)
    examples = RankingExamples.make(
        events, videos, end=end, vocabulary=options.vocabulary, most=options.most_impressions
    )
    judge = _Judge(examples)
    ranked = [rank_by_lot(examples, seeds), rank_by_mean(examples), rank_by_trees(examples, seeds)]
    say("baselines")
    network, choices = rank_by_network(NETWORK, examples, options, seeds, say)
    clicks = replace(options, objectives=(Objective.CLICK,), caps=(1.0,))
    ranked += [rank_by_network(CLICKS, examples, clicks, seeds, say)[0], network]
    figures = {
        "impressions": {
            "train": int((examples.days >= 0).sum()),
            "test": int((examples.days < 0).sum()),
            "pages": judge.pages,
            "people": judge.people,
            "pairs": len(judge.pairs),
            "click_share": float(judge.clicked.mean()),
        },
        "chosen": choices,
        "rankers": {one.name: judge.describe(one) for one in ranked},
        "network_below": {
            one.name: judge.compare(network, one)._asdict() for one in ranked if one is not network
        },
        "calibration": judge.calibrate(network),
    }
    if ablate:
        figures["table_1"] = _draw_table(examples, judge, options, seeds, say)
    return figures


def rank_by_lot(examples: RankingExamples, seeds: int) -> Ranked:
    """Return random scores."""
    count = int((examples.days < 0).sum())
    return Ranked("by lot", [np.random.default_rng(seed).random(count) for seed in range(seeds)])


def rank_by_mean(examples: RankingExamples) -> Ranked:
    """Return the seconds that each video was watched on average, before the end of training."""
    features = examples.features
    seconds = features.numbers[:, features.names.index("video_expected_s")]
    return Ranked("video's mean watch time", [seconds[examples.days < 0]], predicts_seconds=True)


def rank_by_trees(examples: RankingExamples, seeds: int) -> Ranked:
    """Return what boosted trees expect, of the same features and days; the last day stops them.

    Ids of many values are left to the counts of them: trees don't embed.
    """
    try:
        import lightgbm
    except ImportError as error:
        raise UsageError("this needs LightGBM: pip install 'twinlens[evaluate]'") from error
    features, watched_s = examples.features, examples.impressions.watched_s
    widths = np.cumsum([0, *(field.width for field in FIELDS)])
    few = [
        int(at)
        for at, field in zip(widths, FIELDS, strict=False)
        if field.space not in ("video", "channel")
    ]
    inputs = np.column_stack([features.numbers, features.codes[:, few]])
    columns = list(range(features.numbers.shape[1], inputs.shape[1]))
    earlier, last_day, test = examples.days > 0, examples.days == 0, examples.days < 0
    known = earlier | last_day
    scores = []
    for seed in range(seeds):
        trees = lightgbm.LGBMRegressor(
            objective="tweedie",
            n_estimators=1000,
            learning_rate=0.05,
            min_child_samples=100,
            colsample_bytree=0.8,
            subsample=0.8,
            subsample_freq=1,
            random_state=seed,
            n_jobs=1,
            verbose=-1,
        )
        trees.fit(
            inputs[earlier],
            watched_s[earlier],
            eval_X=inputs[last_day],
            eval_y=watched_s[last_day],
            categorical_feature=columns,
            callbacks=[lightgbm.early_stopping(30, verbose=False)],
        )
        trees.set_params(n_estimators=trees.best_iteration_)
        trees.fit(inputs[known], watched_s[known], categorical_feature=columns)
        scores.append(np.asarray(trees.predict(inputs[test]), dtype=np.float64))
    return Ranked(LIGHTGBM, scores, predicts_seconds=True)


def rank_by_network(
    name: str, examples: RankingExamples, options: RankingOptions, seeds: int, say: Say
) -> tuple[Ranked, list[dict[str, Any]]]:
    """Return what trained networks expect, one a seed, and what each chose to learn."""
    scores, choices = [], []
    for seed in range(seeds):
        model = train_ranker(examples, replace(options, seed=seed)).model
        scores.append(model.predict(examples.select_features(examples.days < 0)))
        choices.append({"objective": model.summary.objective, "cap_s": model.summary.cap_s})
        say(f"{name}, seed {seed}")
    return Ranked(name, scores, predicts_seconds=True), choices


def _draw_table(
    examples: RankingExamples, judge: _Judge, options: RankingOptions, seeds: int, say: Say
) -> list[dict[str, Any]]:
    """Return per-user loss by hidden layers, and of the largest by what is left out or learned."""
    largest = max(TABLE_1, key=len)
    weighted = replace(options, objectives=(Objective.WATCH_TIME_PAPER,), caps=(1.0,))
    deep = replace(weighted, hidden=largest)
    rows = [
        *(
            (_name(hidden), replace(weighted, hidden=hidden), paper)
            for hidden, paper in TABLE_1.items()
        ),
        ("no powers", replace(deep, powers=False), TABLE_1[largest] + 0.2),
        ("exact odds", replace(deep, objectives=(Objective.WATCH_TIME,)), None),
        ("equal weights", replace(deep, objectives=(Objective.CLICK,)), TABLE_1[largest] + 4.1),
    ]
    return [
        {
            "hidden": name,
            "paper": paper and paper / 100,
            **judge.describe(rank_by_network(name, examples, one, seeds, say)[0]),
        }
        for name, one, paper in rows
    ]


def _name(hidden: Sequence[int]) -> str:
    return "-".join(map(str, hidden)) or "none"


class _Judge:
    """What was watched on the later days, and how far scores of it are right."""

    def __init__(self, examples: RankingExamples) -> None:
        shown = examples.impressions.select(examples.days < 0)
        self.clicked, self.watched_s = shown.clicked, shown.watched_s
        self.pairs = PagePairs.find(shown)
        if not self.pairs.watched_s.sum():
            raise UsageError("no page of the later days has both a watch and what was passed over")
        self.pages = len(np.unique(shown.pages[self.pairs.clicked]))
        codes = np.unique(self.pairs.persons, return_inverse=True)[1]
        self.people = int(codes.max()) + 1
        self._codes = codes
        self._totals = np.bincount(codes, self.pairs.watched_s)

    def describe(self, ranked: Ranked) -> dict[str, Any]:
        """Return the figures of a ranker: the mean over its seeds, and each one's loss."""
        losses = [self.pairs.measure_loss(scores) for scores in ranked.scores]
        figures: dict[str, Any] = {
            "per_user_loss": float(np.mean(losses)),
            "interval": self._resample(self._sum_by_person(ranked))[1:],
            "by_seed": losses,
            "auc_of_click": float(np.mean([self._measure_auc(one) for one in ranked.scores])),
        }
        if ranked.predicts_seconds:
            ratios = [float(scores.sum() / self.watched_s.sum()) for scores in ranked.scores]
            figures |= {"predicted_over_observed": float(np.mean(ratios)), "ratios": ratios}
        return figures

    def compare(self, ranked: Ranked, other: Ranked) -> Mean:
        """Return by how much the loss of ``ranked`` is below that of ``other``, over people."""
        return self._resample(self._sum_by_person(other) - self._sum_by_person(ranked))

    def calibrate(self, ranked: Ranked) -> list[dict[str, Any]]:
        """Return predicted and observed seconds an impression by decile of what is predicted."""
        scores = np.mean(ranked.scores, axis=0)
        groups = np.array_split(np.argsort(scores, kind="stable"), _GROUPS)
        return [
            {
                "predicted_s": float(scores[group].mean()),
                "observed_s": bootstrap_mean(self.watched_s[group])._asdict(),
            }
            for group in groups
        ]

    def _measure_auc(self, scores: Scores) -> float:
        positives = int(self.clicked.sum())
        least = positives * (positives + 1) / 2
        pairs = positives * (len(scores) - positives)
        return float((rankdata(scores)[self.clicked].sum() - least) / pairs)

    def _resample(self, seconds: npt.NDArray[np.float64]) -> Mean:
        """Return the share of all watch time that each person's seconds come to, over people."""
        rng = np.random.default_rng(0)
        drawn = (rng.integers(self.people, size=self.people) for _ in range(_RESAMPLES))
        shares = [seconds[rows].sum() / self._totals[rows].sum() for rows in drawn]
        low, high = np.percentile(shares, [2.5, 97.5])
        return Mean(float(seconds.sum() / self._totals.sum()), float(low), float(high))

    def _sum_by_person(self, ranked: Ranked) -> npt.NDArray[np.float64]:
        """Return the seconds mispredicted of each person, as the mean over seeds."""
        seconds = np.mean([self.pairs.find_mispredicted(one) for one in ranked.scores], axis=0)
        return np.bincount(self._codes, seconds).astype(np.float64)
