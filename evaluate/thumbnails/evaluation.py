"""The evaluation itself: from pictures and contenders to everything that is told of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from tqdm import tqdm

from twinlens.catalog.vectors import FloatMatrix
from twinlens.evaluate.thumbnails.contenders import Contender
from twinlens.evaluate.thumbnails.distortions import DISTORTIONS
from twinlens.evaluate.thumbnails.measures import (
    Health,
    Places,
    Shares,
    alike,
    found,
    health,
    unit_or_zero,
)
from twinlens.evaluate.thumbnails.pictures import LabelledPicture

# Recall at 1 and at 10; likeness of the nearest one and of the nearest ten.
DEPTHS: Final = (1, 10)
# Pictures in memory at a time, each with its distorted copies.
_CHUNK: Final = 16


@dataclass(frozen=True, slots=True)
class Findings:
    """What was measured of one contender; every share is of one picture, in the same order for all.

    ``recall`` is by depth and distortion, for the pictures asked. Likeness is by depth: for those
    asked that have a category, and for all that have one; None where too few have.
    """

    recall: Mapping[int, Mapping[str, Shares]]
    likeness_asked: Mapping[int, Shares] | None
    likeness_all: Mapping[int, Shares] | None
    health: Health


def evaluate(
    contenders: Sequence[Contender], pictures: Sequence[LabelledPicture], *, asked: Places
) -> dict[str, Findings]:
    """Findings by name. Distorted copies of the pictures at ``asked`` are looked for among all."""
    codes = _encode(contenders, pictures, asked)
    categories = np.array([picture.category or "" for picture in pictures])
    (labelled,) = np.nonzero(categories)
    enough = len(labelled) > max(DEPTHS)
    (asked_of_labelled,) = np.nonzero(np.isin(labelled, asked))
    findings: dict[str, Findings] = {}
    for name, of in codes.items():
        gallery = unit_or_zero(of.gallery)
        questions = {key: unit_or_zero(rows) for key, rows in of.questions.items()}
        alike_of_all = {
            depth: alike(
                gallery[labelled], categories[labelled], np.arange(len(labelled)), within=depth
            )
            for depth in DEPTHS
            if enough
        }
        findings[name] = Findings(
            recall={
                depth: {
                    key: found(rows, gallery, asked, within=depth)
                    for key, rows in questions.items()
                }
                for depth in DEPTHS
            },
            likeness_all=alike_of_all or None,
            likeness_asked={
                depth: shares[asked_of_labelled] for depth, shares in alike_of_all.items()
            }
            or None,
            health=health(of.gallery),
        )
    return findings


@dataclass(frozen=True, slots=True)
class _Codes:
    gallery: FloatMatrix  # (pictures, dim)
    questions: Mapping[str, FloatMatrix]  # (asked, dim), by distortion


def _encode(
    contenders: Sequence[Contender], pictures: Sequence[LabelledPicture], asked: Places
) -> dict[str, _Codes]:
    """Codes by contender; each picture is decoded once and distorted once for all of them."""
    codes = {
        one.name: _Codes(
            gallery=np.empty((len(pictures), one.dim), dtype=np.float32),
            questions={
                distortion.name: np.empty((len(asked), one.dim), dtype=np.float32)
                for distortion in DISTORTIONS
            },
        )
        for one in contenders
    }
    place_in_asked = {int(place): row for row, place in enumerate(asked)}
    with tqdm(total=len(pictures), desc="encoding", unit=" pictures") as progress:
        for start in range(0, len(pictures), _CHUNK):
            places = range(start, min(start + _CHUNK, len(pictures)))
            images = [pictures[place].image() for place in places]
            for one in contenders:
                codes[one.name].gallery[places.start : places.stop] = one.encode(images)
            inside = [place for place in places if place in place_in_asked]
            rows = [place_in_asked[place] for place in inside]
            for distortion in DISTORTIONS if inside else ():
                changed = [distortion.apply(images[place - start]) for place in inside]
                for one in contenders:
                    codes[one.name].questions[distortion.name][rows] = one.encode(changed)
            progress.update(len(places))
    return codes
