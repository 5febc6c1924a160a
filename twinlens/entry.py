"""What ``twinlens`` runs: the command in a process of its own, whose end by a signal is explained.

Embedded Qdrant maps its files, so a disk that fills up ends the process that has them open by
SIGBUS, and a machine without memory ends it by SIGKILL; that process can say nothing then. This
one forks it before anything heavy is imported, hands signals on, and ends as it ended.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from twinlens.catalog.processes import end_with_parent, explain_signal

# Those that a person or a service manager sends to the process that they know.
_HANDED_ON: Final = {
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
}
_WATCHED: Final = {*_HANDED_ON, signal.SIGCHLD}


def main() -> None:
    """Run the command that this process was started with, and exit with its code."""
    is_watched = _is_watched(sys.argv[1:])
    if is_watched:
        _fork_and_watch()
    from twinlens.cli import main as run

    try:
        run(prog_name="twinlens")
    except SystemExit as ended:
        if is_watched and ended.code == 1:
            # It has said why. Embedded Qdrant, let go of, would write once more, and on a full
            # disk end by SIGBUS, of which this process would have to say something, too.
            for output in sys.stdout, sys.stderr:
                with suppress(OSError):
                    output.flush()
            os._exit(1)
        raise


def _is_watched(arguments: Sequence[str]) -> bool:
    command = next((one for one in arguments if not one.startswith("-")), None)
    # `serve` watches its workers itself. macOS has no sigwaitinfo.
    return command not in (None, "serve") and hasattr(signal, "sigwaitinfo")


def _fork_and_watch() -> None:
    """Return in a new process; in this one watch that process, and exit as it does."""
    parent = os.getpid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # who is ignored is not waited for
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    child = os.fork()
    if child:
        sys.exit(_watch(child))
    end_with_parent(parent)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _watch(child: int) -> int:
    while True:
        told = signal.sigwaitinfo(_WATCHED)
        if told.si_signo == signal.SIGCHLD:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return _end_like(os.waitstatus_to_exitcode(status))
        elif told.si_code <= 0:  # a process sent it; a terminal has sent it to both
            os.kill(child, told.si_signo)


def _end_like(code: int) -> int:
    """Return the exit code for a child's; end by the same signal where somebody sent one."""
    if code >= 0:
        return code
    number = -code
    data_dir = _find_data_dir(sys.argv[1:]) if number == signal.SIGBUS else None
    cause = explain_signal(number, data_dir)
    if cause is not None:
        with suppress(OSError):
            sys.stderr.write(
                f"twinlens: {cause}; what is published is whole. Run it again once that is mended: "
                "a job goes on from where it was\n"
            )
        return 1
    if number in _HANDED_ON:
        signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDED_ON)
        os.kill(os.getpid(), number)
    return 128 + number  # the first process of a container outlives its own signals


def _find_data_dir(arguments: Sequence[str]) -> Path | None:
    for place, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name == "--data-dir":
            return Path(value if equals else arguments[place + 1])
    from twinlens.catalog.errors import SettingsError
    from twinlens.settings import load_settings

    try:
        return load_settings({}).data_dir
    except SettingsError:
        return None
