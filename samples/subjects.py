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
    "beach": Subject(landscapes.draw_beach, "Travel & Events"),
    "circuit": Subject(objects.draw_circuit, "Science & Technology"),
    "city": Subject(crowds.draw_city, "Travel & Events"),
    "concert": Subject(crowds.draw_concert, "Music"),
    "cricket": Subject(crowds.draw_cricket, "Sports"),
    "curry": Subject(objects.draw_curry, "People & Blogs"),
    "elephants": Subject(animals.draw_elephants, "Pets & Animals"),
    "reef": Subject(animals.draw_reef, "Pets & Animals"),
    "tea": Subject(landscapes.draw_tea, "Travel & Events"),
}
