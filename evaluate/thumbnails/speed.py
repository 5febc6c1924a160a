"""How fast encoders are: from encoded bytes to vectors, and the network alone; all in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from twinlens.evaluate.thumbnails.contenders import Contender
from twinlens.evaluate.thumbnails.original import Original
from twinlens.evaluate.thumbnails.pictures import LabelledPicture

# Enough that a network's fixed costs don't show, and a round of the original takes seconds.
BATCH: Final = 32
YARDSTICK: Final = "original"
# Pictures at a time; which is the fastest depends on the machine's caches.
_YARDSTICK_CHUNKS: Final = (1, 2, 4)


@dataclass(frozen=True, slots=True)
class Speed:
    """Pictures a second on one thread, one number per round.

    ``network`` counts the time within the outermost module of torch alone; it is empty where no
    network is run.
    """

    whole: tuple[float, ...]
    network: tuple[float, ...]


def measure_speed(
    contenders: Sequence[Contender],
    pictures: Sequence[LabelledPicture],
    *,
    rounds: int,
    on_round: Callable[[], object],
) -> dict[str, Speed]:
    """Speeds by name, of every contender and of the original at its full size (``YARDSTICK``).

    Every round has each of them encode the same pictures once, in an order that turns from round
    to round. The original's weights don't matter for its speed; it gets fresh ones, and of each
    round its best: with one picture at a time, two, or four.
    """
    import torch

    yardsticks: dict[str, Contender] = {
        f"{YARDSTICK}, {chunk} at a time": Original(chunk=chunk) for chunk in _YARDSTICK_CHUNKS
    }
    subjects = {contender.name: contender for contender in contenders} | yardsticks
    names = list(subjects)
    whole: dict[str, list[float]] = {name: [] for name in names}
    network: dict[str, list[float]] = {name: [] for name in names}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for subject in subjects.values():
            _encode(subject, pictures[:2])  # so that loading the weights is not timed
        for number in range(rounds):
            turn = number % len(names)
            for name in names[turn:] + names[:turn]:
                started = time.perf_counter()
                with _networks_timed() as seconds:
                    _encode(subjects[name], pictures)
                whole[name].append(len(pictures) / (time.perf_counter() - started))
                if seconds:
                    network[name].append(len(pictures) / sum(seconds))
            on_round()
    finally:
        torch.set_num_threads(threads)
    speeds = {
        one.name: Speed(tuple(whole[one.name]), tuple(network[one.name])) for one in contenders
    }
    speeds[YARDSTICK] = Speed(
        tuple(max(turns) for turns in zip(*(whole[name] for name in yardsticks), strict=True)),
        tuple(max(turns) for turns in zip(*(network[name] for name in yardsticks), strict=True)),
    )
    return speeds


def _encode(contender: Contender, pictures: Sequence[LabelledPicture]) -> None:
    contender.encode([picture.image(at_least=contender.input_size) for picture in pictures])


@contextmanager
def _networks_timed() -> Iterator[list[float]]:
    """The seconds of every forward pass of an outermost torch module, whoever makes it."""
    from torch.nn.modules import module

    seconds: list[float] = []
    entered: list[float] = []

    def before(_module: Any, _inputs: Any) -> None:
        entered.append(time.perf_counter())

    def after(_module: Any, _inputs: Any, _output: Any) -> None:
        started = entered.pop()
        if not entered:
            seconds.append(time.perf_counter() - started)

    hooks = (
        module.register_module_forward_pre_hook(before),
        module.register_module_forward_hook(after),
    )
    try:
        yield seconds
    finally:
        for hook in hooks:
            hook.remove()


def times_the_yardstick(speeds: Mapping[str, Speed]) -> dict[str, Speed]:
    """Each speed as a multiple of the original's, formed within its round."""
    yardstick = speeds[YARDSTICK]
    return {
        name: Speed(
            whole=_by(speed.whole, yardstick.whole),
            network=_by(speed.network, yardstick.network) if speed.network else (),
        )
        for name, speed in speeds.items()
    }


def _by(speeds: Sequence[float], yardstick: Sequence[float]) -> tuple[float, ...]:
    return tuple(speed / one for speed, one in zip(speeds, yardstick, strict=True))
