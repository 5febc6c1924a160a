"""The options by which a measurement of search is told what to ask, and of what."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from twinlens.evaluate.search.tasks import Task


_FOLDER: Final = click.Path(exists=True, file_okay=False, path_type=Path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a person asked to be measured; the fields are those of ``task_options``."""

    known_item: tuple[str, ...]
    cross_lingual: tuple[Path, ...]
    more_like: tuple[tuple[str, str], ...]
    judged: tuple[Path, ...]
    title_models: tuple[str, ...]
    thumbnail_model: str
    limit: int
    seed: int
    cache_path: Path | None
    threads: int

    def tasks(self) -> list[Task]:
        """The tasks, in the order of the options.

        Raises:
            UsageError: no task was asked for, or one can't be made, or one is asked for twice.
        """
        from twinlens.catalog.errors import UsageError
        from twinlens.evaluate.search import sources
        from twinlens.evaluate.search.judged import judged_tasks
        from twinlens.evaluate.search.parallel import cross_lingual_tasks

        drawn: Any = {"limit": self.limit, "seed": self.seed}
        tasks: list[Task] = []
        for spec in self.known_item:
            tasks += sources.known_items(spec, **drawn)
        for folder in self.cross_lingual:
            tasks += cross_lingual_tasks(folder, **drawn)
        tasks += [sources.more_like(spec, column, **drawn) for column, spec in self.more_like]
        for folder in self.judged:
            tasks += judged_tasks(folder)
        if not tasks:
            raise UsageError(
                "nothing to measure: give --known-item, --cross-lingual, --more-like or --judged"
            )
        if len({task.name for task in tasks}) < len(tasks):
            raise UsageError("the same task is asked for twice")
        return tasks


_OPTIONS: Final = (
    click.option(
        "--known-item",
        "known_item",
        multiple=True,
        metavar="SOURCE",
        help="Titles asked for with words dropped, swapped, misspelt, or in part. May be repeated.",
    ),
    click.option(
        "--cross-lingual",
        "cross_lingual",
        multiple=True,
        type=_FOLDER,
        help="A folder laid out as SIB-200: the same lines in several languages. May be repeated.",
    ),
    click.option(
        "--more-like",
        "more_like",
        nargs=2,
        multiple=True,
        metavar="COLUMN SOURCE",
        help='"More like this": videos that share the labels in COLUMN. May be repeated.',
    ),
    click.option(
        "--judged",
        multiple=True,
        type=_FOLDER,
        help="A set in BEIR's layout: corpus.jsonl, queries.jsonl, qrels/. May be repeated.",
    ),
    click.option(
        "--title-model",
        "title_models",
        multiple=True,
        default=["packaged:use-m3"],
        show_default=True,
        help="packaged:use-m3, packaged:minilm, a hub name or a directory. May be repeated.",
    ),
    click.option("--thumbnail-model", default="packaged:denoiser", show_default=True),
    click.option(
        "--queries",
        "limit",
        type=click.IntRange(min=1),
        default=500,
        show_default=True,
        help="Most queries of a task that is drawn by lot; a judged set is asked whole.",
    ),
    click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True),
    click.option(
        "--cache",
        "cache_path",
        type=click.Path(file_okay=False, path_type=Path),
        help="Keeps vectors here, so that the next run finds them, and a stopped one goes on.",
    ),
    click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True),
)


def task_options(command: Callable[..., None]) -> Callable[..., None]:
    """``command`` with these options, which it is handed as one ``asked``."""

    @functools.wraps(command)
    def run(**given: Any) -> None:
        asked = Asked(**{field.name: given.pop(field.name) for field in fields(Asked)})
        command(asked=asked, **given)

    for option in reversed(_OPTIONS):
        run = option(run)
    return run
