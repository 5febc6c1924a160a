"""The subjects there are: how each is drawn and where it is filed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from twinlens.samples import animals, crowds, landscapes, objects
from twinlens.samples.canvas import Canvas
from twinlens.samples.scenery import Facts


@dataclass(frozen=True, slots=True)
class Subject:
    """One kind of picture; ``draw`` fills a canvas and returns what it put there."""

    draw: Callable[[Canvas, Random], Facts]
    category: str


SUBJECTS: Final[dict[str, Subject]] = {
    "beach": Subject(landscapes.beach, "Travel & Events"),
    "circuit": Subject(objects.circuit, "Science & Technology"),
    "city": Subject(crowds.city, "Travel & Events"),
    "concert": Subject(crowds.concert, "Music"),
    "cricket": Subject(crowds.cricket, "Sports"),
    "curry": Subject(objects.curry, "People & Blogs"),
    "elephants": Subject(animals.elephants, "Pets & Animals"),
    "reef": Subject(animals.reef, "Pets & Animals"),
    "tea": Subject(landscapes.tea, "Travel & Events"),
}
