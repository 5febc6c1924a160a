"""Training the bridge, readable top to bottom.

A line in a script that the base doesn't know must land where the base puts its English: near it,
and nearer than to the English of all other lines of the batch. Half of the lines are put together
with others of their script, so that strings of a few words prepare for longer titles.

A step depends on nothing but the options, the pairs and its number, so a run that was killed
continues from its checkpoint to the very weights it would have reached, on the same machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from twinlens.catalog.errors import EncoderError, UsageError
from twinlens.catalog.vectors import FloatMatrix
from twinlens.encoders.base import TitleEncoder
from twinlens.encoders.titles.corpus import IntVector, Ragged, TrainingCorpus
from twinlens.encoders.titles.network import BridgeNetwork
from twinlens.encoders.titles.packing import BridgeShape, write_bridge
from twinlens.encoders.training_run import CHECKPOINT_NAME, TrainingRun, Validation, digest_run

MIN_HELD_OUT: Final = 10
_MOST_WORDS: Final = 120  # of a line that is trained on


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """What decides the weights, besides the pairs.

    ``patience`` is how many validations in a row may bring no improvement before training stops.
    """

    seed: int = 0
    steps: int = 3000
    batch_size: int = 512
    learning_rate: float = 3e-3
    warmup_steps: int = 100
    weight_decay: float = 0.01
    temperature: float = 0.05
    joined_share: float = 0.5
    ngram_dropout: float = 0.5
    word_dropout: float = 0.1
    validate_every: int = 200
    validation_lines: int = 300
    patience: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement(Validation):
    """One validation, on held-out lines that ask for their English among all English lines.

    ``mrr`` is the mean over scripts of the mean reciprocal rank, and decides the best;
    ``by_script`` has it script by script. ``cosine`` is that with the English wanted.
    """

    mrr: float
    recall_at_10: float
    cosine: float
    by_script: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """What a finished run leaves; ``scripts`` are those where the bridge beats the base."""

    history: tuple[Measurement, ...]
    best: Measurement
    scripts: tuple[str, ...]
    base_mrr: dict[str, float]
    trained_on: int
    held_out: int
    steps: int


def train(
    corpus: TrainingCorpus,
    *,
    base: TitleEncoder,
    out: Path,
    options: TrainingOptions,
    shape: BridgeShape,
    on_step: Callable[[int, Measurement | None], None] | None = None,
) -> TrainingResult:
    """Train on ``corpus`` and write the best bridge into ``out``, continuing a run cut short.

    ``on_step`` hears of every step done, with its validation if it had one.

    Raises:
        UsageError: too few pairs, or ``out`` holds the checkpoint of another run.
        EncoderError: no validation was finite, or the bridge beats the base on no script.
    """
    training = np.flatnonzero(~corpus.held_out)
    questions = _choose_questions(corpus, options)
    if sum(map(len, questions.values())) < MIN_HELD_OUT or not len(training):
        raise UsageError(
            f"{len(corpus.sources)} usable pairs are too few: after one in twenty is held out, "
            f"at least {MIN_HELD_OUT} must be there to measure by"
        )
    torch.manual_seed(options.seed)
    model = BridgeNetwork(shape)
    optimizer = torch.optim.AdamW(
        _group_parameters(model, options), lr=options.learning_rate, fused=True
    )
    decides = [asdict(options), asdict(shape), base.fingerprint, corpus.sources]
    run = _Run(
        out / CHECKPOINT_NAME,
        digest_run(decides, corpus.english, corpus.targets),
        inputs="pairs",
        measured_as=Measurement,
    )
    run.resume(model, optimizer)
    draw = _Sampler(corpus, training)
    targets = torch.from_numpy(corpus.targets)

    while run.step < options.steps and run.stale < options.patience:
        random = np.random.default_rng([options.seed, run.step])
        batch = draw(random, options)
        wanted = torch.from_numpy(batch.wanted)  # (B, dim)

        for group in optimizer.param_groups:
            group["lr"] = group["full_lr"] * _schedule(run.step, options)
        model.train()
        vectors = model(*_gather_inputs(corpus, batch.titles, random=random, options=options))
        loss = _measure_loss(vectors, wanted, torch.from_numpy(batch.meaning), options)
        run.descend(loss, model, optimizer)

        measured = None
        if run.step % options.validate_every == 0 or run.step == options.steps:
            measured = _validate(model, corpus, questions, targets, run)
            run.record(measured, model)
            run.save(model, optimizer)
        if on_step is not None:
            on_step(run.step, measured)

    if not run.best:
        raise EncoderError(f"training diverged: nothing finite in {run.step} steps")
    best, base_mrr = run.best_measured, _measure_base(base, corpus, questions, targets)
    # A script is the bridge's only if there it does better than the base, which may know it.
    won = tuple(name for name in best.by_script if best.by_script[name] > base_mrr[name])
    if not won:
        raise EncoderError("the bridge finds held-out lines no better than the base in any script")
    result = TrainingResult(
        history=tuple(run.history),
        best=best,
        scripts=won,
        base_mrr=base_mrr,
        trained_on=len(training),
        held_out=int(corpus.held_out.sum()),
        steps=run.step,
    )
    _write(out, run, result, base=base, shape=shape, options=options)
    run.path.unlink(missing_ok=True)
    return result


@dataclass(frozen=True, slots=True)
class _Batch:
    """Titles as rows of word numbers, the unit vectors wanted, and what tells meanings apart."""

    titles: list[IntVector]
    wanted: FloatMatrix
    meaning: IntVector


class _Sampler:
    """Draws lines; a script of n lines as often as the root of n, so that small ones count too."""

    def __init__(self, corpus: TrainingCorpus, training: IntVector) -> None:
        self._corpus = corpus
        # Lines of one script lie together, so that others of it are found by position.
        self._rows = training[np.argsort(corpus.script[training], kind="stable")]
        counts = np.bincount(corpus.script[self._rows], minlength=len(corpus.scripts))
        self._ends = np.concatenate([[0], np.cumsum(counts)])
        share = np.sqrt(counts) / np.sqrt(counts).sum()
        self._until = np.cumsum(share)

    def __call__(self, random: np.random.Generator, options: TrainingOptions) -> _Batch:
        corpus, size = self._corpus, options.batch_size
        drawn = np.searchsorted(self._until, random.random(size))
        script = np.minimum(drawn, len(self._until) - 1)
        first, after = self._ends[script], self._ends[script + 1]
        # Up to four lines of the script, of which most titles take one, others several.
        rows = self._rows[random.integers(first[:, None], after[:, None], size=(size, 4))]
        joined = random.random(size) < options.joined_share
        lines = np.where(joined, random.integers(2, 5, size=size), 1)
        taken = np.arange(4) < lines[:, None]  # (B, 4)

        weight = np.sqrt(corpus.english_words[rows]) * taken
        wanted = np.einsum("bk,bkd->bd", weight, corpus.targets[corpus.english[rows]])
        wanted /= np.maximum(np.linalg.norm(wanted, axis=1, keepdims=True), 1e-9)
        titles = [
            corpus.titles.take(of[:count]).flat[:_MOST_WORDS]
            for of, count in zip(rows, lines, strict=True)
        ]
        # Joined lines have a meaning of their own: numbers that no English line has.
        meaning = np.where(joined, -1 - np.arange(size), corpus.english[rows[:, 0]])
        return _Batch(titles, wanted.astype(np.float32), meaning)


def _gather_inputs(
    corpus: TrainingCorpus,
    titles: list[IntVector],
    *,
    random: np.random.Generator | None = None,
    options: TrainingOptions | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return what the network takes; with ``random``, without some of the n-grams and words."""
    lines = Ragged.from_rows(titles)
    if random is not None and options is not None:
        alone = np.repeat(np.diff(lines.ends) == 1, np.diff(lines.ends))
        lines = lines.keep(alone | (random.random(len(lines.flat)) >= options.word_dropout))
    vocabulary, positions = np.unique(lines.flat, return_inverse=True)
    ngrams = corpus.word_ngrams.take(vocabulary)
    if random is not None and options is not None:
        ngrams = ngrams.keep(random.random(len(ngrams.flat)) >= options.ngram_dropout)
    arrays = (ngrams.flat, ngrams.ends, positions, lines.ends)
    return tuple(torch.from_numpy(array) for array in arrays)  # type: ignore[return-value]


def _measure_loss(
    vectors: Tensor, wanted: Tensor, meaning: Tensor, options: TrainingOptions
) -> Tensor:
    """Cross-entropy of finding each other, both ways, and what is missing to cosine 1.

    Source: InfoNCE, van den Oord et al. 2018; CLIP's symmetric form, Radford et al. 2021.
    """
    similarity = vectors @ wanted.T / options.temperature  # (B, B)
    same = (meaning[:, None] == meaning[None, :]).fill_diagonal_(False)
    similarity = similarity.masked_fill(same, -math.inf)
    own = torch.arange(len(vectors))
    there = functional.cross_entropy(similarity, own)
    back = functional.cross_entropy(similarity.T, own)
    return (there + back) / 2 + 1 - (vectors * wanted).sum(dim=1).mean()


def _group_parameters(model: BridgeNetwork, options: TrainingOptions) -> list[dict[str, Any]]:
    """Rows of the table are seldom touched: they learn faster and are not decayed."""
    table = [model.ngrams.weight]
    others = [value for name, value in model.named_parameters() if name != "ngrams.weight"]
    rate = options.learning_rate
    return [
        {"params": table, "full_lr": 2.5 * rate, "weight_decay": 0.0},
        {"params": others, "full_lr": rate, "weight_decay": options.weight_decay},
    ]


def _schedule(step: int, options: TrainingOptions) -> float:
    """Return a linear rise, then a linear fall to 2 %."""
    if step < options.warmup_steps:
        return (step + 1) / options.warmup_steps
    done = (step - options.warmup_steps) / max(1, options.steps - options.warmup_steps)
    return 0.02 + 0.98 * (1 - done)


def _choose_questions(corpus: TrainingCorpus, options: TrainingOptions) -> dict[str, IntVector]:
    """Of every script, held-out lines of different meanings: the same at every validation."""
    asked: dict[str, IntVector] = {}
    for number, name in enumerate(corpus.scripts):
        rows = np.flatnonzero(corpus.held_out & (corpus.script == number))
        _, first = np.unique(corpus.english[rows], return_index=True)
        order = np.random.default_rng(0).permutation(len(first))[: options.validation_lines]
        if len(order):
            asked[name] = rows[first[order]]
    return asked


def _rank_targets(vectors: Tensor, targets: Tensor, wanted: Tensor) -> npt.NDArray[np.int64]:
    """From 1: how many of ``targets`` are at least as near to a vector as the wanted one."""
    own = (vectors * targets[wanted]).sum(dim=1, keepdim=True)
    # Twins of the wanted text don't count against it.
    return 1 + (vectors @ targets.T > own + 1e-5).sum(dim=1).numpy()


@torch.no_grad()
def _validate(
    model: BridgeNetwork,
    corpus: TrainingCorpus,
    questions: dict[str, IntVector],
    targets: Tensor,
    run: _Run,
) -> Measurement:
    model.eval()
    by_script: dict[str, float] = {}
    found, cosines = [], []
    for name, rows in questions.items():
        titles = [corpus.titles.take(rows[i : i + 1]).flat for i in range(len(rows))]
        vectors = model(*_gather_inputs(corpus, titles))
        wanted = torch.from_numpy(corpus.english[rows])
        ranks = _rank_targets(vectors, targets, wanted)
        by_script[name] = float((1 / ranks).mean())
        found.append(float((ranks <= 10).mean()))
        cosines.append(float((vectors * targets[wanted]).sum(dim=1).mean()))
    return Measurement(
        step=run.step,
        training_loss=run.average_loss(),
        mrr=float(np.mean(list(by_script.values()))),
        recall_at_10=float(np.mean(found)),
        cosine=float(np.mean(cosines)),
        by_script=by_script,
    )


def _measure_base(
    base: TitleEncoder, corpus: TrainingCorpus, questions: dict[str, IntVector], targets: Tensor
) -> dict[str, float]:
    """Return the base's own mean reciprocal rank on the same questions, script by script."""
    found = {}
    for name, rows in questions.items():
        vectors = torch.from_numpy(base.encode([corpus.sources[row] for row in rows]))
        ranks = _rank_targets(vectors, targets, torch.from_numpy(corpus.english[rows]))
        found[name] = float((1 / ranks).mean())
    return found


class _Run(TrainingRun[Measurement]):
    def improves(self, measured: Measurement) -> bool:
        highest = max((past.mrr for past in self.history), default=-math.inf)
        return measured.mrr > highest and math.isfinite(measured.cosine)


def _write(
    out: Path,
    run: _Run,
    result: TrainingResult,
    *,
    base: TitleEncoder,
    shape: BridgeShape,
    options: TrainingOptions,
) -> None:
    """Write the bridge with how it was trained."""
    write_bridge(
        out,
        weights={name: value.numpy() for name, value in run.best.items()},
        shape=asdict(shape),
        base=base.name,
        base_fingerprint=base.fingerprint,
        scripts=result.scripts,
        training=run.summarize(
            options,
            trained_on=result.trained_on,
            held_out=result.held_out,
            base_mrr=result.base_mrr,
        ),
        history=run.list_history(),
    )
