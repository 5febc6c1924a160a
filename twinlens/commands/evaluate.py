"""``twinlens evaluate``: one line a measurement, imported when it is called."""

from __future__ import annotations

import click

from twinlens.lazy_commands import LazyCommand, LazyGroup


class _Measurements(LazyGroup):
    lazy = {  # noqa: RUF012 - the base says that it belongs to the class
        "search": LazyCommand(
            "twinlens.evaluate.search.cli", "search", "Measure search on labelled queries."
        ),
        "fusion": LazyCommand(
            "twinlens.evaluate.fusion.cli", "fusion", "Choose the fusion's settings by figures."
        ),
        "recommendations": LazyCommand(
            "twinlens.evaluate.recommendations.cli",
            "recommendations",
            "Measure recommendations on people's ratings.",
        ),
        "thumbnails": LazyCommand(
            "twinlens.evaluate.thumbnails.cli",
            "thumbnails",
            "Measure thumbnail encoders on damaged and labelled pictures.",
        ),
    }


@click.group(cls=_Measurements)
def evaluate() -> None:
    """Measure search and encoders on labelled data.

    \b
    Example:
      twinlens evaluate search --known-item videos.jsonl --title-model packaged:use-m3
    """
