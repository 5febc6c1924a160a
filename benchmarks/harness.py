"""What the scripts share: rounds in turns, medians with intervals, a served index, the machine."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click

from twinlens.benchmarks.engines.tables import ratio_interval, show_interval
from twinlens.catalog.errors import TwinLensError
from twinlens.evaluate.machine import describe_machine, write_json

ROOT: Final = Path(__file__).resolve().parents[1]
TITLE_MODEL: Final = "packaged:use-m3"


def measure_in_turns(
    ways: Mapping[str, Callable[[], Mapping[str, float]]], *, rounds: int
) -> dict[str, list[float]]:
    """What each way returns in each round, by name.

    The order turns from round to round, and a first round warms up, so that what disturbs hurts all
    alike and ratios can be formed within a round.
    """
    samples: dict[str, list[float]] = {}
    for number in range(-1, rounds):
        for place in range(len(ways)):
            name = list(ways)[(number + place) % len(ways)]
            for figure, value in ways[name]().items():
                if number >= 0:
                    samples.setdefault(figure, []).append(round(value, 5))
    return samples


def time_each(ask: Callable[[Any], object], requests: Iterable[Any]) -> list[float]:
    """The milliseconds of each of these requests, asked one after the other."""
    waited = []
    for request in requests:
        started = time.perf_counter()
        ask(request)
        waited.append((time.perf_counter() - started) * 1000)
    return waited


def report(
    path: Path | None,
    title: str,
    samples: Mapping[str, Sequence[float]],
    ratios: Mapping[str, tuple[str, str]],
    /,
    **parts: Any,
) -> None:
    """Print medians with their 95 % bootstrap interval, ratios within a round, and the machine.

    ``ratios`` names two figures of ``samples`` by what their ratio is called. ``parts`` are what is
    written to ``path`` as JSON, if there is one.
    """
    click.echo(f"\n{title}: median [95 %]")
    pairs: dict[str, tuple[Sequence[float], Sequence[float]]]
    pairs = {name: (values, [1.0] * len(values)) for name, values in samples.items()}
    pairs |= {name: (samples[above], samples[below]) for name, (above, below) in ratios.items()}
    for name, (over, under) in pairs.items():
        shown = show_interval(ratio_interval(over, under, paired=True))
        click.echo(f"  {name:<48}{shown:>28}")
    machine = describe_machine()
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    click.echo(
        f"\n{machine['processor']}, {machine['cores']} cores, load {machine['load'][0]},"
        f" commit {machine['commit']}{' with changes' * bool(machine['dirty'])}; {versions}"
    )
    write_json(path, {"machine": machine, **parts})


def run_twinlens(*arguments: str | Path) -> None:
    """Run the command.

    Raises:
        TwinLensError: it failed.
    """
    command = [sys.executable, "-m", "twinlens", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TwinLensError(f"twinlens {' '.join(map(str, arguments))} failed: {done.stderr}")


@contextmanager
def served(data_dir: Path) -> Iterator[str]:
    """The address of ``twinlens serve``, one process, once it answers; stopped at the end.

    Raises:
        TwinLensError: it did not start; it has said why on standard error.
    """
    command = [sys.executable, "-m", "twinlens", "serve", "--data-dir", str(data_dir.resolve())]
    command += ["--port", "0", "--workers", "1"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = re.search(r"http://\S+", process.stdout.readline())
            if address is None:
                raise TwinLensError("the server did not start")
            yield address.group()
        finally:
            process.terminate()
            process.wait(60)
