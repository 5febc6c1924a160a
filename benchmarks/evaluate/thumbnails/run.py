"""One run over a source: which pictures are searched, asked and fitted to, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.evaluate.thumbnails.contenders import Contender
from benchmarks.evaluate.thumbnails.evaluation import evaluate
from benchmarks.evaluate.thumbnails.pictures import PictureSet, read_pictures
from benchmarks.evaluate.thumbnails.pixels import Pixels
from benchmarks.evaluate.thumbnails.report import report
from benchmarks.evaluate.thumbnails.speed import BATCH, measure_speed
from benchmarks.machine import machine
from catalog.errors import UsageError
from encoders.base import FloatMatrix


class PictureRun:
    """The pictures of ``source``, and of ``fit`` where others are to be fitted to.

    Raises:
        UsageError: fewer than 64 pictures of one of them can be read.
    """

    def __init__(self, source: str, *, fit: str | None = None) -> None:
        self._set = read_pictures(source)
        self._fit: PictureSet | None = read_pictures(fit) if fit is not None else None

    @cached_property
    def training_pixels(self) -> FloatMatrix:
        """What principal components are fitted to: pixels of the pictures not held out."""
        fitted = [one for one in (self._fit or self._set).pictures if not one.held_out]
        return np.concatenate([Pixels().encode([one.image()]) for one in fitted])

    def report(self, contenders: Sequence[Contender], *, ask: str, rounds: int) -> dict[str, Any]:
        """Everything measured, as JSON values; ``ask`` is ``held-out`` or ``all``.

        Raises:
            UsageError: no picture of the source is held out.
        """
        pictures = self._set.pictures
        asked = np.flatnonzero([ask == "all" or one.held_out for one in pictures])
        if not len(asked):
            raise UsageError(
                f"{self._set.source}: none of {len(pictures)} pictures is held out; "
                "--ask all asks for every one"
            )
        record = machine()
        findings = evaluate(contenders, pictures, asked=asked)
        speeds = {}
        if rounds:
            with tqdm(total=rounds, desc="timing", unit=" rounds") as progress:
                speeds = measure_speed(
                    contenders,
                    pictures[:BATCH],
                    rounds=rounds,
                    on_round=partial(progress.update, 1),
                )
        return {
            "benchmark": "evaluate thumbnails",
            "machine": record,
            "source": self._set.source,
            "fitted_to": (self._fit or self._set).source,
            "pictures": len(pictures),
            "categories": len({one.category for one in pictures} - {None}),
            "asked": len(asked),
            "ask": ask,
            "unreadable": list(self._set.unreadable),
        } | report(contenders, findings, speeds)
