"""One run over a source: which pictures are searched, asked and fitted to, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from twinlens.catalog.errors import UsageError
from twinlens.catalog.vectors import FloatMatrix
from twinlens.encoders.thumbnails.pictures import TRAINING_SIZE, fit_picture
from twinlens.evaluate.machine import machine
from twinlens.evaluate.thumbnails.contenders import Contender
from twinlens.evaluate.thumbnails.evaluation import evaluate
from twinlens.evaluate.thumbnails.pictures import LabelledPicture, PictureSet, picture_set
from twinlens.evaluate.thumbnails.pixels import Pixels
from twinlens.evaluate.thumbnails.report import report
from twinlens.evaluate.thumbnails.speed import BATCH, measure_speed


class FittedTo:
    """The pictures not held out, in the forms that contenders are fitted to."""

    def __init__(self, pictures: Sequence[LabelledPicture]) -> None:
        self._pictures = [one for one in pictures if not one.held_out]

    @cached_property
    def pixels(self) -> FloatMatrix:
        """As ``Pixels`` gives them."""
        return np.concatenate([Pixels().encode([one.image()]) for one in self._pictures])

    @cached_property
    def fitted(self) -> npt.NDArray[np.uint8]:
        """Of the size that training takes: uint8 (n, 108, 192, 3)."""
        return np.stack([fit_picture(one.image(), size=TRAINING_SIZE) for one in self._pictures])


class PictureRun:
    """The pictures of ``source``, and of ``fit`` where others are to be fitted to.

    Raises:
        UsageError: fewer than 64 pictures of one of them can be read.
    """

    def __init__(self, source: str, *, fit: str | None = None) -> None:
        self._set = picture_set(source)
        self._fit: PictureSet | None = picture_set(fit) if fit is not None else None

        self.training = FittedTo((self._fit or self._set).pictures)

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
            "left_out": list(self._set.left_out),
        } | report(contenders, findings, speeds)
