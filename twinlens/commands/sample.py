"""The command that draws a sample catalogue."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--videos", type=click.IntRange(min=1), required=True, help="How many videos.")
@click.option(
    "--events", type=click.IntRange(min=1), help="Draw a log of what people do, too: about so long."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Another seed, other videos.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes; by default one per core.")
def sample(
    directory: Path, videos: int, events: int | None, seed: int, workers: int | None
) -> None:
    """Draw a catalogue of made-up videos into DIRECTORY, and a log, to try things with.

    Pictures and titles are drawn by a program: they are not real, and free of licences (CC0).
    The same seed draws the same videos. A run that was stopped, or asked for fewer videos, is
    continued.

    With --events, DIRECTORY/log gets what made-up people were shown and did in four weeks, and
    beside it what was to be expected of each impression.

    \b
    Examples:
        twinlens sample --videos 1000 sample
        twinlens sample --videos 1000 --events 200000 sample
    """
    from twinlens.samples import draw_events, draw_sample

    summary = draw_sample(directory, videos=videos, seed=seed, workers=workers)
    click.echo(
        f"{summary.videos} drawn videos in {summary.directory} (seed {summary.seed}):"
        f" {summary.drawn} new, {summary.videos - summary.drawn} kept, {summary.seconds:.1f} s"
    )
    if events is not None:
        log = draw_events(directory, events=events, seed=seed)
        click.echo(
            f"{log.events} drawn events of {log.people} people in {log.folder} (seed {seed}):"
            f" {'new' if log.drawn else 'kept'}, {log.seconds:.1f} s"
        )
