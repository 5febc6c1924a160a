"""The ``twinlens`` command.

The commands are imported when they are called, so that ``twinlens --help`` starts at once and needs
none of the heavy packages.
"""

from __future__ import annotations

import importlib
import logging
import re
import shutil
import sys
from typing import Final, NamedTuple

import click

from twinlens import __version__
from twinlens.catalog.errors import TwinLensError


class LazyCommand(NamedTuple):
    """The place of a command, and its line in the help."""

    module: str
    function: str
    summary: str


COMMANDS: Final = {
    "sample": LazyCommand("twinlens.commands.sample", "sample", "Draw a sample catalogue."),
    "index": LazyCommand("twinlens.commands.index", "index", "Index a source and publish it."),
    "verify": LazyCommand(
        "twinlens.commands.index", "verify", "Compare Qdrant with its FAISS mirror."
    ),
    "generations": LazyCommand(
        "twinlens.commands.generations", "generations", "List what an index can go back to."
    ),
    "publish": LazyCommand(
        "twinlens.commands.generations", "publish", "Publish a generation that is kept."
    ),
    "discard": LazyCommand(
        "twinlens.commands.generations", "discard", "Remove a generation for good."
    ),
    "repair": LazyCommand("twinlens.commands.generations", "repair", "Make a damaged index whole."),
    "takedown": LazyCommand(
        "twinlens.commands.generations", "takedown", "Remove videos for good, whatever sources say."
    ),
    "backup": LazyCommand("twinlens.commands.backup", "backup", "Back up the published index."),
    "restore": LazyCommand("twinlens.commands.backup", "restore", "Publish what a backup holds."),
    "serve": LazyCommand(
        "twinlens.commands.serve", "serve", "Serve the JSON API and the web page."
    ),
    "train-thumbnails": LazyCommand(
        "twinlens.commands.train",
        "train_thumbnails",
        "Train a thumbnail encoder on a source's pictures.",
    ),
    "train-titles": LazyCommand(
        "twinlens.commands.train", "train_titles", "Train titles in scripts that USE doesn't know."
    ),
    "train-recommender": LazyCommand(
        "twinlens.commands.train_recommender",
        "train_recommender",
        "Learn from events what people watch next.",
    ),
    "models": LazyCommand(
        "twinlens.commands.models", "models", "List, publish and roll back recommenders."
    ),
    "evaluate": LazyCommand(
        "twinlens.commands.evaluate", "evaluate", "Measure search and encoders on labelled data."
    ),
    "bench": LazyCommand("twinlens.commands.bench", "bench", "Compare Qdrant with FAISS."),
}


_NO_MEMORY: Final = (
    "failed to map segment|can(not|'t) allocate|can't start new thread|bad_alloc|out of memory"
)


class _Commands(click.Group):
    """All commands, imported when called; an error that we raise ends as a message and a code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order given."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command, imported now, or None where there is none of this name."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command: click.Command = getattr(importlib.import_module(entry.module), entry.function)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands as click does, but with the given summaries, importing nothing."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except TwinLensError as error:
            click.echo(f"twinlens: {error}", err=True)
            ctx.exit(error.exit_code)
        except (FileNotFoundError, FileExistsError, NotADirectoryError, PermissionError) as error:
            # A wrong path on the command line or in a setting; --verbose shows where it was used.
            logging.getLogger(__name__).info("what could not be used", exc_info=True)
            click.echo(f"twinlens: {_describe_failure(error)}", err=True)
            ctx.exit(2)
        except (OSError, MemoryError, ImportError, RuntimeError) as error:
            # The machine's: a full or a read-only disk, too little memory, too many files.
            if isinstance(error, ImportError | RuntimeError) and not _lacks_memory(error):
                raise
            logging.getLogger(__name__).info("what failed", exc_info=True)
            click.echo(f"twinlens: {_describe_failure(error)}", err=True)
            ctx.exit(1)
        except KeyboardInterrupt:
            click.echo("twinlens: stopped", err=True)
            ctx.exit(130)


def _lacks_memory(error: ImportError | RuntimeError) -> bool:
    """Return whether a library or a thread had no room: they have no error of their own for it."""
    return re.search(_NO_MEMORY, str(error), re.IGNORECASE) is not None


def _describe_failure(error: Exception) -> str:
    if not isinstance(error, OSError):
        # NumPy gives a page of advice around it.
        lines = str(error).splitlines()
        telling = [line for line in lines if re.search(_NO_MEMORY, line, re.IGNORECASE)] or lines
        return f"there is too little memory ({(telling or ['nothing more is known'])[-1]})"
    if isinstance(error, shutil.Error):  # of many files, each with source, target and reason
        [*_, reason] = error.args[0][0]
        return f"{len(error.args[0])} files could not be copied; the first: {reason}"
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
@click.option("-v", "--verbose", is_flag=True, help="Log what happens, on standard error.")
def main(verbose: bool) -> None:
    """Search and recommendation for videos, by title and by thumbnail.

    \b
    Example:
      twinlens sample --videos 1000 sample
      twinlens index sample --title-model packaged:use-m3
      twinlens serve
    """
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
