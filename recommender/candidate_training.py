"""Trains the candidate network on a log: seeded, resumable, stopped by what is held out."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from twinlens.catalog.errors import UsageError
from twinlens.catalog.files import write_atomically
from twinlens.catalog.vectors import FloatMatrix
from twinlens.encoders.training_run import digest_run
from twinlens.recommender.candidate_model import CandidateModel
from twinlens.recommender.candidate_network import CandidateNetwork, NetworkShape, draw_kept
from twinlens.recommender.co_watching import CoWatching
from twinlens.recommender.co_watching_counts import count_co_watching
from twinlens.recommender.content import ContentSpace
from twinlens.recommender.examples import (
    MOST_POSITIONS,
    Scorer,
    Split,
    draw_examples,
    draw_some,
    hold_out,
    measure_gain,
    rank_labels,
)
from twinlens.recommender.interactions import Interactions, Ints
from twinlens.recommender.person_inputs import (
    DEMOGRAPHIC_REALS,
    PersonEncoder,
    PersonInputs,
    PersonSpace,
)
from twinlens.recommender.pooling import Pooling
from twinlens.recommender.softmax import Background, measure_loss
from twinlens.recommender.videos import VideoTable

CHECKPOINT: Final = "candidate-checkpoint.pt"
_SAVE_EVERY_S: Final = 60.0
_LEAST_RATE: Final = 0.05
_FINISHING_RATE: Final = 0.1
_HIDDEN_SHARE: Final = 0.1
_CHUNK: Final = 8192
_DEPTH: Final = 50
_LEAST_STEPS: Final = 200
# What the tables may count: the network's scores are about -1 to 1.
_TABLE_WEIGHTS: Final = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
# Weights are chosen by so many scores, the fewer people the more videos.
_MOST_WEIGHED: Final = 2**25
_WEIGHED_AT_ONCE: Final = 100

_log = logging.getLogger(__name__)


# Of the log; those of other examples, drawn by lot, to compare with; or not told.
ExampleAge = Literal["given", "shuffled", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """How to train. ``minutes`` bounds the whole; None does not.

    ``batch_size`` None: so many that an epoch has 200 steps, from 64 to 1024. ``drop_rows`` is the
    share of learned rows that a step does without. ``patience`` is how many epochs may be no better
    than the best before training stops. Without ``co_watching`` the network is alone.
    """

    seed: int = 0
    epochs: int = 10
    minutes: float | None = None
    batch_size: int | None = None
    negatives: int = 2048
    background_power: float = 1.0
    temperature: float = 0.15
    learning_rate: float = 1e-3
    table_learning_rate: float = 1e-2
    drop_rows: float = 0.2
    patience: int = 2
    dim: int = 64
    hidden: tuple[int, ...] = (256,)
    pooling: Pooling = "averages"
    example_age: ExampleAge = "given"
    co_watching: bool = True
    device: str = "cpu"


class Epoch(NamedTuple):
    """How one epoch went: the mean loss, and nDCG@50 of what is held out, all videos ranked."""

    epoch: int
    loss: float
    gain: float
    seconds: float


@dataclass(frozen=True, eq=False)
class TrainedCandidates:
    """A trained network, the tables beside it, the spaces of its inputs, and how it came about."""

    network: CandidateNetwork
    tables: CoWatching
    people: PersonSpace
    content: ContentSpace
    history: list[Epoch]
    options: TrainingOptions

    def summarize(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "options": asdict(self.options),
            "history": [epoch._asdict() for epoch in self.history],
            "tables": dict(self.tables.weights),
        }


def train_candidates(
    known: Interactions,
    videos: VideoTable,
    options: TrainingOptions,
    *,
    folder: Path | None = None,
    on_step: Callable[[int, int, str], None] | None = None,
) -> TrainedCandidates:
    """Train on all watches of ``known``; a run that was killed goes on from ``folder``.

    Training stops by the last day, or in a log without times by the last watch of each person. One
    more pass, at a tenth of the rate, then learns from what was held out, too. ``on_step`` gets
    the step, how many there are, and how the last epoch went.

    Raises:
        UsageError: nothing to learn from, or the checkpoint is of another run.
    """
    check_enough(known)
    split = hold_out(known)
    if not split.trained.any():
        split = Split(np.ones(len(known), dtype=np.bool_), split.held_out)
    run = _Run(known, videos, options, split, on_step or (lambda *_: None))
    if folder is None:
        return run.train(None)
    decides = [asdict(options) | {"minutes": None}, *videos.video_ids, *known.person_ids]
    digest = digest_run(decides, known.videos, known.times, known.places)
    checkpoint = Checkpoint(folder / CHECKPOINT, digest)
    trained = run.train(checkpoint)
    checkpoint.path.unlink(missing_ok=True)
    return trained


def check_enough(known: Interactions) -> None:
    """Return if there is something to learn from.

    Raises:
        UsageError: no completed watch of a catalogued video, or one person's alone.
    """
    if not len(known):
        more = f"; {known.unknown_videos} are of videos that are not in the catalogue"
        raise UsageError(
            "there is no completed watch to learn from" + more * bool(known.unknown_videos)
        )
    people = int((np.diff(known.starts) > 0).sum())
    if people < 2:
        raise UsageError("the completed watches are one person's: there is nothing to learn from")


class _Run:
    """One training: the network, its optimizers, and how far it is."""

    def __init__(
        self,
        known: Interactions,
        videos: VideoTable,
        options: TrainingOptions,
        split: Split,
        on_step: Callable[[int, int, str], None],
    ) -> None:
        self.known, self.options, self.split, self.on_step = known, options, split, on_step
        self.held_out = draw_some(split.held_out, options.seed)
        self.content = ContentSpace.fit(videos, seed=options.seed)
        self.people = PersonSpace.fit(known, with_example_age=options.example_age != "none")
        aged = known
        if options.example_age == "shuffled":
            order = np.random.default_rng(options.seed).permutation(len(known))
            aged = replace(known, times=known.times[order])
        self.encoder = PersonEncoder(aged, self.people)
        torch.manual_seed(options.seed)
        shape = NetworkShape(
            videos=len(videos),
            features=self.content.features,
            tokens=self.content.token_count,
            words=len(self.people.words),
            categories=self.people.category_count,
            dim=options.dim,
            hidden=options.hidden,
            pooling=options.pooling,
            temperature=options.temperature,
        )
        watched = np.bincount(known.videos, minlength=len(videos)) > 0
        counts = np.bincount(known.videos[split.trained], minlength=len(videos))
        counts = np.maximum(counts, watched)
        network = CandidateNetwork(shape, self.content.encode(videos), counts)
        self.network = network.to(options.device)
        tables, others = self.network.list_tables(), self.network.list_others()
        self.optimizers = {
            "others": torch.optim.Adam(others, lr=options.learning_rate),
            "tables": torch.optim.SparseAdam(tables, lr=options.learning_rate),
        }
        # Without content, a dropped row would leave nothing.
        self.drop_rows = 0.0 if self.content.is_empty else options.drop_rows
        examples = count_examples(known, split.trained)
        self.batch_size = options.batch_size or min(max(examples // _LEAST_STEPS, 64), 1024)
        self.steps = math.ceil(examples / self.batch_size)
        self.progress = Progress(history=[])
        self.best: dict[str, Tensor] = {}

    def train(self, checkpoint: Checkpoint | None) -> TrainedCandidates:
        if checkpoint is not None:
            checkpoint.load(self)
        now = self.progress
        while not now.finishing and self._goes_on():
            self._train_pass(self.split.trained, checkpoint)
            gain = float(measure_gain(self._rank(), _DEPTH).mean()) if len(self.held_out) else 0.0
            loss = now.loss_sum / max(now.step, 1)
            if not now.history or gain > max(one.gain for one in now.history):
                self.best = _copy(self.network)
            now.history.append(Epoch(now.epoch + 1, loss, gain, now.spent_s))
            now.epoch, now.step, now.loss_sum = now.epoch + 1, 0, 0.0
            if checkpoint is not None:
                checkpoint.save(self)
        self._finish(checkpoint)
        counting = [name for name, weight in now.weights.items() if weight]
        tables = count_co_watching(self.known, self.network.shape.videos, counting)
        return TrainedCandidates(
            self.network,
            tables.weigh(now.weights),
            self.people,
            self.content,
            now.history,
            self.options,
        )

    def _goes_on(self) -> bool:
        now, limit = self.progress, self._limit_s()
        gains = [one.gain for one in now.history]
        stale = len(gains) - 1 - int(np.argmax(gains)) if gains else 0
        return (
            now.epoch < self.options.epochs
            and stale < self.options.patience
            and (not gains or now.spent_s < limit)
        )

    def _limit_s(self) -> float:
        return math.inf if self.options.minutes is None else 60 * self.options.minutes

    def _finish(self, checkpoint: Checkpoint | None) -> None:
        """Learn from everything once more, at a low rate, from the best weights on."""
        now = self.progress
        if not now.finishing:
            self.network.load_state_dict(self.best)
            now.weights = self._choose_weights()
            now.finishing, now.step, now.loss_sum = True, 0, 0.0
        self._train_pass(np.ones(len(self.known), dtype=np.bool_), checkpoint)

    def _train_pass(self, trained: npt.NDArray[np.bool_], checkpoint: Checkpoint | None) -> None:
        """Train on the rest of an epoch; a limit of time ends it earlier."""
        now, options = self.progress, self.options
        seeds = [options.seed, now.epoch, int(now.finishing)]
        labels, weights = draw_examples(self.known, trained, np.random.default_rng(seeds))
        background = Background.of_labels(
            self.known.videos[trained], self.network.shape.videos, power=options.background_power
        )
        steps = math.ceil(len(labels) / self.batch_size)
        saved = started = time.monotonic()
        before = now.spent_s
        while now.step < steps and (now.finishing or now.spent_s < self._limit_s()):
            self._set_rate()
            batch = slice(now.step * self.batch_size, (now.step + 1) * self.batch_size)
            rng = np.random.default_rng([*seeds, now.step])
            now.loss_sum += self._take_step(labels[batch], weights[batch], background, rng)
            now.step += 1
            now.spent_s = before + time.monotonic() - started
            done = (options.epochs if now.finishing else now.epoch) * self.steps + now.step
            self.on_step(done, options.epochs * self.steps + steps, self._describe())
            if checkpoint is not None and time.monotonic() - saved > _SAVE_EVERY_S:
                checkpoint.save(self)
                saved = time.monotonic()

    def _set_rate(self) -> None:
        """Let the rate fall along a cosine, by steps or by time, whichever is further."""
        now, options = self.progress, self.options
        done = (now.epoch * self.steps + now.step) / (options.epochs * self.steps)
        share = min(max(done, now.spent_s / self._limit_s()), 1.0)
        factor = _LEAST_RATE + (1 - _LEAST_RATE) * (1 + math.cos(math.pi * share)) / 2
        factor = _FINISHING_RATE if now.finishing else factor
        rates = {"others": options.learning_rate, "tables": options.table_learning_rate}
        for name, optimizer in self.optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = factor * rates[name]

    def _take_step(
        self,
        labels: Ints,
        weights: npt.NDArray[np.float32],
        background: Background,
        rng: np.random.Generator,
    ) -> float:
        options, network = self.options, self.network
        inputs = _hide_some(self.encoder.encode(labels), rng)
        drawn, log_expected = background.draw(options.negatives, rng)
        own = self.known.videos[labels].astype(np.int64)
        rows, places = np.unique(np.concatenate([own, drawn]), return_inverse=True)
        kept = draw_kept(len(rows), self.drop_rows, rng).to(network.device)
        found = network.embed_output(rows, kept)[torch.from_numpy(places).to(network.device)]
        people = network.embed_people(inputs, (self.drop_rows, rng)) / options.temperature
        positive = (people * found[: len(own)]).sum(dim=1)
        negative = people @ found[len(own) :].T
        hits = torch.from_numpy(own[:, None] == drawn).to(network.device)
        given = [torch.from_numpy(one).to(network.device) for one in (log_expected, weights)]
        loss = (measure_loss(positive, negative, given[0], hits) * given[1]).mean()
        for optimizer in self.optimizers.values():
            optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        for optimizer in self.optimizers.values():
            optimizer.step()
        return float(loss.detach())

    def _rank(self) -> Ints:
        score = make_scorer(self.network, self.encoder)
        return rank_labels(score, self.known, self.held_out, self.network.shape.videos)

    def _choose_weights(self) -> dict[str, float]:
        """Return what each table of co-watching counts, by what is held out and not counted."""
        if not self.options.co_watching or not len(self.held_out):
            return {}
        videos = self.network.shape.videos
        most = max(_MOST_WEIGHED // videos, _WEIGHED_AT_ONCE)
        labels = draw_some(self.held_out, self.options.seed, most=most)
        counted = count_co_watching(self.known.keep(self.split.trained), videos)
        alone = [counted.weigh({name: 1.0}) for name in counted.tables]
        tried = list(product(_TABLE_WEIGHTS, repeat=len(alone)))
        gains = np.zeros(len(tried))
        score = make_scorer(self.network, self.encoder)
        for start in range(0, len(labels), _WEIGHED_AT_ONCE):
            part = labels[start : start + _WEIGHED_AT_ONCE]
            history = self.encoder.encode(part).history
            network, said = score(part), [table.score(history, videos) for table in alone]
            for at, weights in enumerate(tried):
                scores = network.copy()
                for weight, of in zip(weights, said, strict=True):
                    scores += weight * of
                ranks = rank_labels(partial(_say, scores), self.known, part, videos)
                gains[at] += measure_gain(ranks, _DEPTH).sum()
        # The first of the best: the least of the tables.
        return dict(zip(counted.tables, tried[int(np.argmax(gains))], strict=True))

    def _describe(self) -> str:
        history = self.progress.history
        return f"nDCG@{_DEPTH} {history[-1].gain:.4f}" if history else ""


def make_scorer(
    network: CandidateNetwork,
    encoder: PersonEncoder,
    tables: CoWatching | None = None,
    *,
    example_days: float = 0.0,
) -> Scorer:
    """Return what scores all videos for the people of an encoder, as they would be served.

    Or as of so many days before.
    """
    network.eval()
    with torch.no_grad():
        rows = np.arange(network.shape.videos)
        output = torch.cat(
            [network.embed_output(rows[at : at + _CHUNK]) for at in range(0, len(rows), _CHUNK)]
        )

    def score(labels: Ints) -> FloatMatrix:
        inputs = encoder.encode(labels, example_days=example_days)
        with torch.no_grad():
            scores: FloatMatrix = (network.embed_people(inputs) @ output.T).cpu().numpy()
        return scores if tables is None else scores + tables.score(inputs.history, len(output))

    return score


def _say(scores: FloatMatrix, _: Ints) -> FloatMatrix:
    return scores


def count_examples(known: Interactions, trained: npt.NDArray[np.bool_]) -> int:
    """Return how many examples an epoch has."""
    counts = np.bincount(known.persons[trained], minlength=1)
    return int(np.minimum(counts, MOST_POSITIONS).sum())


def _hide_some(inputs: PersonInputs, rng: np.random.Generator) -> PersonInputs:
    """Hide context and demographics of some examples: a request may lack them."""
    shown = (rng.random((len(inputs.history), 1)) >= _HIDDEN_SHARE).astype(np.int64)
    reals = inputs.reals.copy()
    reals[:, : len(DEMOGRAPHIC_REALS)] *= shown
    return inputs._replace(categories=inputs.categories * shown, reals=reals)


def _copy(network: CandidateNetwork) -> dict[str, Tensor]:
    return {name: of.detach().cpu().clone() for name, of in network.state_dict().items()}


@dataclass(kw_only=True)
class Progress:
    """How far a run is.

    ``finishing``: in the last pass, over everything; ``weights`` then are those of the tables.
    """

    history: list[Epoch]
    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    spent_s: float = 0.0
    finishing: bool = False
    weights: dict[str, float] = field(default_factory=dict)


class Checkpoint:
    """Where a run stands, in one file that is replaced as a whole."""

    def __init__(self, path: Path, digest: str) -> None:
        self.path = path
        self._digest = digest

    def save(self, run: _Run) -> None:
        """Keep where ``run`` is."""
        states = {name: of.state_dict() for name, of in run.optimizers.items()}
        progress = asdict(run.progress) | {"history": [tuple(one) for one in run.progress.history]}
        kept = {
            "digest": self._digest,
            "progress": progress,
            "network": run.network.state_dict(),
            "best": run.best,
            "optimizers": states,
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, lambda file: torch.save(kept, file))

    def load(self, run: _Run) -> None:
        """Bring ``run`` to where it was kept, if it was.

        Raises:
            UsageError: the file is of a run with another log or options, or can't be read.
        """
        if not self.path.exists():
            return
        try:
            kept = torch.load(self.path, weights_only=True, map_location=run.options.device)
        except Exception as error:
            raise UsageError(f"{self.path} can't be read ({error}); remove it to start anew") from (
                error
            )
        if kept["digest"] != self._digest:
            raise UsageError(
                f"{self.path} is of a run with another log, catalogue or options; "
                "remove it to start anew"
            )
        run.network.load_state_dict(kept["network"])
        run.best = kept["best"]
        for name, optimizer in run.optimizers.items():
            optimizer.load_state_dict(kept["optimizers"][name])
        history = [Epoch(*one) for one in kept["progress"]["history"]]
        run.progress = Progress(**kept["progress"] | {"history": history})
        _log.info("continuing at epoch %d from %s", run.progress.epoch + 1, self.path)


def export_model(trained: TrainedCandidates, videos: VideoTable) -> CandidateModel:
    """Return what a server needs of a trained network."""
    network = trained.network.cpu().eval()
    rows = np.arange(len(videos))
    parts = [rows[at : at + _CHUNK] for at in range(0, len(rows), _CHUNK)]
    with torch.no_grad():
        history = torch.cat([network.embed_history(part) for part in parts]).numpy()
        output = torch.cat([network.embed_output(part) for part in parts]).numpy()
    weights = {
        name.removesuffix(".weight") if not name.startswith("tower") else name: of.numpy()
        for name, of in network.state_dict().items()
        if not name.startswith(("history_rows", "output_rows"))
    }
    return CandidateModel(
        video_ids=videos.video_ids,
        history=history,
        output=output,
        weights=weights,
        tables=trained.tables,
        layers=len(network.tower),
        temperature=network.shape.temperature,
        pooling=network.shape.pooling,
        people=trained.people,
        content=trained.content,
    )
