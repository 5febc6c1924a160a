"""A process for each engine: it can be told apart by its memory, and may die without the others."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any, Final, Self

from twinlens.benchmarks.engines.base import EngineFailed

# A graph over a million vectors takes its time; what takes longer hangs.
_LONGEST_S: Final = 2 * 3600.0
_CLOSING_S: Final = 20.0
_THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Host:
    """One object in a process of its own, whose methods are called by name.

    ``threads`` is what the libraries in it may use of their own accord; ``environment`` is added to
    this process's.
    """

    def __init__(
        self,
        make: Callable[..., Any],
        *arguments: Any,
        threads: int = 1,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, make, arguments), daemon=True)
        with (
            _environment({**dict.fromkeys(_THREADS, str(threads)), **(environment or {})}),
            _interrupts_ignored(),
        ):
            self._process.start()
        theirs.close()
        self._asked = "start"

    @property
    def pid(self) -> int:
        """The process's number."""
        return int(self._process.pid or 0)

    def ask(self, method: str, *arguments: Any, **options: Any) -> Any:
        """What the method returns.

        Raises:
            EngineFailed: it raised, or its process ended.
        """
        self.begin(method, *arguments, **options)
        return self.finish()

    def begin(self, method: str, *arguments: Any, **options: Any) -> None:
        """Have the method called, and don't wait for it."""
        self._asked = method
        try:
            self._ours.send((method, arguments, options))
        except OSError as error:
            raise self._ended() from error

    def finish(self) -> Any:
        """What the method begun returns; raises as ``ask`` does."""
        try:
            if not self._ours.poll(_LONGEST_S):
                self.kill()
                raise EngineFailed(f"{self._asked}: no answer after {_LONGEST_S:g} s")
            done, value = self._ours.recv()
        except (EOFError, OSError) as error:
            raise self._ended() from error
        if not done:
            raise EngineFailed(value)
        return value

    def close(self) -> None:
        """Let the object be closed and the process end."""
        with suppress(OSError):  # it may have ended already
            self._ours.send(None)
        self._process.join(_CLOSING_S)
        self.kill()

    def kill(self) -> None:
        """End the process at once."""
        if self._process.is_alive():
            self._process.kill()
        self._process.join()
        self._ours.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # Whoever interrupts doesn't want to wait for a graph.
        if kind is None or issubclass(kind, Exception):
            self.close()
        else:
            self.kill()

    def _ended(self) -> EngineFailed:
        self._process.join(_CLOSING_S)
        code = self._process.exitcode
        how = f"killed by signal {-code}" if code is not None and code < 0 else f"ended with {code}"
        return EngineFailed(f"{self._asked}: the engine's process was {how}")


def _serve(theirs: Connection, make: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    made: Any = None
    _die_with_parent()
    try:
        while (asked := theirs.recv()) is not None:
            method, values, options = asked
            try:
                made = make(*arguments) if made is None else made
                theirs.send((True, getattr(made, method)(*values, **options)))
            except BaseException as error:  # noqa: BLE001 - Qdrant's panics are no Exception
                theirs.send((False, f"{method}: {type(error).__name__}: {error}"))
    except EOFError:
        pass
    finally:
        if made is not None and hasattr(made, "close"):
            made.close()


def _die_with_parent() -> None:
    """Have the system kill this process when its parent ends, however that ends.

    An engine that builds a graph holds the GIL for minutes, so no thread of ours could see to it.
    """
    if sys.platform == "linux":
        # Source: prctl(2), PR_SET_PDEATHSIG.
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    parent = multiprocessing.parent_process()
    if parent is None or os.getppid() != parent.pid:
        raise SystemExit(1)  # it ended before it could be watched


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """What starts within ignores Ctrl-C, which is for its parent, who tells it to end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
