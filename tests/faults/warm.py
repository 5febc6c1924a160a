"""``twinlens`` in processes that are forked from one which has everything loaded.

They start at once: of hundreds of jobs that are killed, few are killed while they load modules.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

# What a forked process finds loaded.
import faiss  # noqa: F401
import pytest  # noqa: F401
import qdrant_client  # noqa: F401
import qdrant_edge  # noqa: F401

import twinlens.commands.index
import twinlens.indexer.fetch
import twinlens.indexer.job
import twinlens.indexer.metrics
import twinlens.stores.server  # noqa: F401
from tests.fakes import ColourEncoder, WordEncoder
from twinlens.encoders import load

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([__name__])


class Command:
    """A command, started with the tests' small encoders; what it says goes to a file."""

    def __init__(self, *arguments: object, said: Path, **settings: str) -> None:
        environment = {
            **os.environ,
            **{f"TWINLENS_{name.upper()}": value for name, value in settings.items()},
        }
        given = (list(map(str, arguments)), environment, said)
        self._said, self._process = said, _context.Process(target=_run, args=given)
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.is_alive()

    def kill(self) -> None:
        self._process.kill()

    def wait(self) -> tuple[int, str]:
        """Its exit code, and what it said."""
        self._process.join()
        assert self._process.exitcode is not None
        return self._process.exitcode, self._said.read_text()


def _run(arguments: list[str], environment: Mapping[str, str], said: Path) -> None:
    multiprocessing.set_start_method("fork", force=True)  # as in a process of its own
    os.environ.update(environment)
    tempfile.tempdir = None  # as the environment has it
    with said.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    load.load_title_encoder = lambda name, **_: WordEncoder()
    load.load_thumbnail_encoder = lambda name, **_: ColourEncoder()
    sys.argv = ["twinlens", *arguments]
    try:
        from twinlens.entry import main
    except ImportError:
        from twinlens.cli import main
    main()
