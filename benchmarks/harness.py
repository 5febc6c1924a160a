"""What the scripts share: rounds in turns, medians with intervals, a served index, the machine."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click

from twinlens.benchmarks.engines.tables import ratio_interval, show_interval
from twinlens.catalog.errors import TwinLensError
from twinlens.evaluate.machine import describe_machine, write_json

ROOT: Final = Path(__file__).resolve().parents[1]
TITLE_MODEL: Final = "packaged:use-m3"

# One figure a round, by what was measured.
Rounds = Mapping[str, Sequence[float]]


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


def tell(title: str, samples: Rounds, ratios: Mapping[str, tuple[str, str]] | None = None) -> None:
    """Print medians with their 95 % bootstrap interval, then ratios formed within a round.

    ``ratios`` names two figures of ``samples`` by what their ratio is called.
    """
    click.echo(f"\n{title}: median [95 %]")
    for name, values in samples.items():
        ones = [1.0] * len(values)
        click.echo(f"  {name:<48}{show_interval(ratio_interval(values, ones, paired=True)):>28}")
    for name, (above, below) in (ratios or {}).items():
        found = ratio_interval(samples[above], samples[below], paired=True)
        click.echo(f"  {name:<48}{show_interval(found):>28}")


def write_report(path: Path | None, **parts: Any) -> None:
    """Say what it was measured on, and write all of it to ``path`` as JSON, if there is one."""
    machine = describe_machine()
    click.echo(
        f"\n{machine['processor']}, {machine['cores']} cores, Python {machine['python']}, "
        f"qdrant-edge-py {machine['versions'].get('qdrant-edge-py')}, "
        f"commit {(machine['commit'] or 'none')[:10]}{' with changes' * bool(machine['dirty'])}, "
        f"load {machine['load'][0]}"
        f"{' (disturbed: trust ratios, not times)' if machine['disturbed'] else ''}"
    )
    write_json(path, {"machine": machine, **parts})


def run_twinlens(*arguments: str | Path) -> str:
    """What the command prints.

    Raises:
        TwinLensError: it failed.
    """
    command = [sys.executable, "-m", "twinlens", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TwinLensError(f"twinlens {' '.join(map(str, arguments))} failed: {done.stderr}")
    return done.stdout


def index_sample(directory: Path, *, videos: int) -> Path:
    """The data directory of an index of so many drawn videos, made in ``directory`` once."""
    data = directory / f"data{videos}"
    if not (data / "CURRENT").exists():
        source = directory / f"sample{videos}"
        if not source.exists():
            run_twinlens("sample", "--videos", str(videos), source)
        run_twinlens("index", source, "--data-dir", data, "--title-model", TITLE_MODEL)
    return data


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
