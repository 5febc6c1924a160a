"""``python -m twinlens.benchmarks.load``: the command."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click

from twinlens.benchmarks.load.index import Encoders, publish_load_index
from twinlens.benchmarks.load.material import read_material
from twinlens.benchmarks.load.plot import draw
from twinlens.benchmarks.load.run import Plan, run
from twinlens.benchmarks.load.summary import MEMORY, shown
from twinlens.benchmarks.load.wrk import require_wrk
from twinlens.catalog.errors import TwinLensError
from twinlens.encoders.lenses import THUMBNAIL, TITLE
from twinlens.encoders.load import PACKAGED_DENOISER, load_thumbnail_encoder, load_title_encoder
from twinlens.evaluate.machine import machine_line
from twinlens.samples import draw_sample
from twinlens.stores.generations import DataDir, Manifest

_TITLE_MODEL: Final = "packaged:use-m3-bridge"
_FULL: Final = Plan(
    clients=(1, 8, 32),
    rounds=3,
    slice_s=20,
    warm_up_s=10,
    overhead_s=20,
    endurance_s=600,
    endurance_clients=8,
    window_s=10,
    memory_every_s=2,
)
_QUICK: Final = replace(
    _FULL,
    clients=(1, 8),
    rounds=1,
    slice_s=1,
    warm_up_s=1,
    overhead_s=1,
    endurance_s=3,
    window_s=1,
    memory_every_s=0.25,
)
_QUICK_VIDEOS: Final = 200
_MOST_DRAWN: Final = 1000


@click.command()
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("data/benchmarks/load"),
    show_default=True,
    help="Where the index is built, or found.",
)
@click.option(
    "--catalogue",
    "catalogues",
    multiple=True,
    help="Real titles and pictures: whatever `twinlens index` takes. May be given several times; "
    "without any, an index that is there already is taken, or a catalogue is drawn.",
)
@click.option("--videos", type=click.IntRange(min=100), default=100_000, show_default=True)
@click.option("--title-model", default=_TITLE_MODEL, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--workers", type=click.IntRange(1, 64), help="Of `twinlens serve`; by default its own."
)
@click.option(
    "--request-threads", type=click.IntRange(1, 256), help="Of `twinlens serve`; its own default."
)
@click.option(
    "--variant",
    "variants",
    multiple=True,
    metavar="OPTIONS",
    help="One more server in the sweep, by its options: '--workers 1'. May be given several times.",
)
@click.option("--peer-threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option(
    "--rounds", type=click.IntRange(min=1), help=f"Of the sweep [default: {_FULL.rounds}]"
)
@click.option(
    "--endurance-minutes",
    type=click.FloatRange(min=0),
    help=f"0 leaves it out [default: {_FULL.endurance_s / 60:g}]",
)
@click.option("--quick", is_flag=True, help="A small drawn index, and seconds instead of minutes.")
@click.option("--prepare", is_flag=True, help="Build the index, and measure nothing.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write all figures.")
@click.option("--plot", "plot_path", type=click.Path(path_type=Path), help="Draw them: PNG or SVG.")
def main(
    directory: Path,
    catalogues: tuple[str, ...],
    videos: int,
    title_model: str,
    seed: int,
    workers: int | None,
    request_threads: int | None,
    variants: tuple[str, ...],
    peer_threads: int,
    rounds: int | None,
    endurance_minutes: float | None,
    quick: bool,
    prepare: bool,
    json_path: Path | None,
    plot_path: Path | None,
) -> None:
    """Drive the served API, and beside it a service as the nearest peer has it.

    Ends with 1 where a demand is not met. Needs wrk (apt-get install wrk) and Linux.

    \b
    Example:
        python -m twinlens.benchmarks.load --catalogue videos/ --json load.json --plot load.png
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    given = {"--workers": workers, "--request-threads": request_threads}
    plan = replace(
        _QUICK if quick else _FULL,
        serve_options=[
            text
            for name, value in given.items()
            if value is not None
            for text in (name, str(value))
        ],
        variants={f"twinlens {one}": one.split() for one in variants},
        peer_threads=peer_threads,
        seed=seed,
    )
    if rounds is not None:
        plan = replace(plan, rounds=rounds)
    if endurance_minutes is not None:
        plan = replace(plan, endurance_s=endurance_minutes * 60)
    try:
        require_wrk()
        for path in (json_path, plot_path):
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as opened:
            if quick:
                directory = Path(opened.enter_context(tempfile.TemporaryDirectory()))
                videos = _QUICK_VIDEOS
            data = DataDir(directory)
            manifest, encoders = _prepared(
                data, catalogues, videos=videos, title_model=title_model, seed=seed
            )
            if prepare:
                click.echo(f"{data.path}: {manifest.source}; {dict(manifest.timings_s)} s")
                return
            report = run(data, manifest, encoders, plan)
        if json_path is not None:
            json_path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        if plot_path is not None:
            draw(report, plot_path)
    except TwinLensError as error:
        click.echo(f"load: {error}", err=True)
        raise SystemExit(error.exit_code) from error
    click.echo(table(report))
    if not all(report["met"].values()):
        raise SystemExit(1)


def _prepared(
    data: DataDir, catalogues: tuple[str, ...], *, videos: int, title_model: str, seed: int
) -> tuple[Manifest, Encoders]:
    """The published index to serve; built where it is not there, or was made by other encoders."""
    threads = min(4, os.cpu_count() or 1)
    if not catalogues and data.current() is not None:
        manifest = data.published()
        titles, thumbnails = (manifest.lenses[name].model for name in (TITLE, THUMBNAIL))
        return manifest, Encoders(
            load_title_encoder(titles, threads=threads),
            load_thumbnail_encoder(thumbnails, threads=threads),
        )
    encoders = Encoders(
        load_title_encoder(title_model, threads=threads),
        load_thumbnail_encoder(PACKAGED_DENOISER, threads=threads),
    )
    with tempfile.TemporaryDirectory(prefix="twinlens-load-") as drawn:
        if not catalogues:
            draw_sample(Path(drawn), videos=min(videos, _MOST_DRAWN), seed=seed)
            catalogues = (drawn,)
        material = read_material(catalogues)
        return publish_load_index(
            data, material, videos=videos, seed=seed, encoders=encoders
        ), encoders


def table(report: Mapping[str, Any]) -> str:
    """The report for a person."""
    summary = report["summary"]
    lines = [
        machine_line(report["machine"], package="gunicorn"),
        f"{report['index']['source']}; {report['tool']}",
        "",
        f"{'requests a second, median [95 %]':<34}"
        + "".join(f"{clients + ' clients':>26}" for clients in _clients(report)),
    ]
    lines += [
        f"  {name:<32}" + "".join(f"{shown(one):>26}" for one in by_clients.values())
        for rows in (summary["per_second"], summary["by_server"])
        for name, by_clients in rows.items()
    ]
    lines += [
        f"  8 clients by 1, {server}: {shown(one)}"
        for server, one in summary.get("speedup", {}).items()
    ]
    cost = report["overhead"]
    lines += [
        "",
        f"a text that is not remembered, one client: {cost['median_ms']['waited']} ms, of which "
        + ", ".join(
            f"{name} {value}"
            for name, value in cost["median_ms"].items()
            if name not in ("waited", "took")
        ),
        *(
            f"  beside encoder and engine, {how}: {cost[how]['outside_ms']} ms to "
            f"{cost[how]['inside_ms']} ms, {cost[how]['outside_by_inside']} times"
            for how in ("by stages", "strict")
        ),
    ]
    if (endurance := report["endurance"]) is not None:
        waited = endurance["waited_ms"]
        grown = summary["growth"]
        lines += [
            "",
            f"{endurance['seconds'] / 60:.3g} minutes, {endurance['clients']} clients: "
            f"{endurance['requests']} requests, {endurance['per_second']} a second, "
            f"{endurance['failed']} failed, p50 {waited['p50']}, p95 {waited['p95']}, "
            f"p99 {waited['p99']} ms, {endurance['texts_asked_before']:.0%} of the texts asked "
            "before",
            f"  memory over the last {grown['over_s']:g} s: "
            + ", ".join(f"{name.removesuffix('_bytes')} {grown[name]:+.2%}" for name in MEMORY),
        ]
    if summary["disturbed"]:
        lines += ["", "DISTURBED: other programs took part of the processors"]
    lines += [
        "",
        *(f"{'met   ' if met else 'MISSED'}  {what}" for what, met in report["met"].items()),
    ]
    return "\n".join(lines)


def _clients(report: Mapping[str, Any]) -> list[str]:
    return list(next(iter(report["summary"]["per_second"].values())))
