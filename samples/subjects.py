"""The subjects there are: how each is drawn and where it is filed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from twinlens.samples import indoors, nature, places, sports
from twinlens.samples.draw import Canvas
from twinlens.samples.scenery import Facts


@dataclass(frozen=True, slots=True)
class Subject:
    """One kind of picture; ``draw`` fills a canvas and returns what it put there."""

    draw: Callable[[Canvas, Random], Facts]
    category: str


SUBJECTS: Final[dict[str, Subject]] = {
    "beach": Subject(nature.beach, "Travel & Events"),
    "cats": Subject(indoors.cats, "Pets & Animals"),
    "circuit": Subject(indoors.circuit, "Science & Technology"),
    "city": Subject(places.city, "Travel & Events"),
    "classroom": Subject(indoors.classroom, "Education"),
    "concert": Subject(places.concert, "Music"),
    "cricket": Subject(sports.cricket, "Sports"),
    "curry": Subject(indoors.curry, "People & Blogs"),
    "dagoba": Subject(places.dagoba, "Travel & Events"),
    "elephants": Subject(nature.elephants, "Pets & Animals"),
    "football": Subject(sports.football, "Sports"),
    "kitchen": Subject(indoors.kitchen, "Howto & Style"),
    "news": Subject(places.news, "News & Politics"),
    "reef": Subject(nature.reef, "Pets & Animals"),
    "snow": Subject(nature.snow, "Travel & Events"),
    "tea": Subject(nature.tea, "Travel & Events"),
    "train": Subject(places.train, "Autos & Vehicles"),
}
