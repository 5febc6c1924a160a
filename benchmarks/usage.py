"""What processes take while they are driven: memory over time, and who had the processors."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Self
from urllib.parse import urlsplit

import psutil

from twinlens.catalog.errors import UsageError

_FIELDS: Final = {"Rss": "rss_bytes", "Pss": "pss_bytes", "Anonymous": "anonymous_bytes"}
_IDLE: Final = ("idle", "iowait")
# user and nice hold these already.
_WITHIN: Final = ("guest", "guest_nice")
# Where others have more of the processors than this, times are theirs as much as ours.
_DISTURBED_SHARE: Final = 0.075
# The same for their worst few seconds.
_WORST_SHARE: Final = 0.25
# Work for some fifteen milliseconds that touches no memory to speak of.
_COUNTED: Final = 300_000
_COUNTS: Final = 3
# What was spent is told in hundredths of a second: in less than this they say nothing of a share.
_LEAST_JUDGED_S: Final = 0.25
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_DEFAULT_PORT: Final = 6333


@dataclass(frozen=True, slots=True)
class MemorySample:
    """The memory of a server's processes together, so many seconds after the first sample.

    ``rss`` counts what they share once for each, ``pss`` once for all; both count pages of mapped
    files that were read. ``anonymous`` is what they allocated.
    """

    at_s: float
    processes: int
    rss_bytes: int
    pss_bytes: int
    anonymous_bytes: int

    def to_json(self) -> dict[str, Any]:
        """The sample as JSON values."""
        return asdict(self)


def memory_of(pid: int, *, at_s: float = 0.0) -> MemorySample:
    """The memory of a process and its descendants now.

    Raises:
        UsageError: this is not Linux.
    """
    totals = dict.fromkeys(_FIELDS.values(), 0)
    processes = 0
    for one in _tree(pid):
        try:
            text = Path(f"/proc/{one.pid}/smaps_rollup").read_text(encoding="ascii")
        except (FileNotFoundError, ProcessLookupError) as error:
            if not Path("/proc/self/smaps_rollup").exists():
                raise UsageError("memory is read from /proc: this runs on Linux alone") from error
            continue  # it has just ended
        processes += 1
        for line in text.splitlines()[1:]:
            name, _, value = line.partition(":")
            if name in _FIELDS:
                totals[_FIELDS[name]] += int(value.split()[0]) * 1024
    return MemorySample(round(at_s, 2), processes, **totals)


@contextmanager
def watched_memory(pid: int, *, every_s: float) -> Iterator[list[MemorySample]]:
    """The memory of a process and its descendants, a sample now and then until the end."""
    samples: list[MemorySample] = []
    with _repeated(every_s, lambda at_s: samples.append(memory_of(pid, at_s=at_s))):
        yield samples


@contextmanager
def _repeated(every_s: float, act: Callable[[float], object]) -> Iterator[None]:
    ended = threading.Event()
    begun = time.monotonic()
    failed: list[Exception] = []

    def run() -> None:
        try:
            while True:
                act(time.monotonic() - begun)
                if ended.wait(every_s):
                    return
        except Exception as error:  # noqa: BLE001 - raised again below, where someone sees it
            failed.append(error)

    thread = threading.Thread(target=run, name="watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    if failed:
        raise failed[0]


class Spent(NamedTuple):
    """Seconds of processor time that were spent so far: by named processes, and by all."""

    named: Mapping[str, float]
    everything: float
    moment: float


class ProcessorWatch:
    """Tells who had the processors: the servers, this process with its tools, and others.

    Others are whatever else this machine runs, and what its host kept from it (steal).
    """

    def __init__(self, servers: Mapping[str, int]) -> None:
        self._servers = dict(servers)
        self._before = self._now()

    def shares(self) -> dict[str, float]:
        """The cores that each had on average since the last call, or since the beginning."""
        before, after = self._before, self._now()
        self._before = after
        seconds = max(after.moment - before.moment, 1e-9)
        shares = {
            name: (spent - before.named[name]) / seconds for name, spent in after.named.items()
        }
        shares["others"] = max(
            0.0, (after.everything - before.everything) / seconds - sum(shares.values())
        )
        return {name: round(share, 3) for name, share in shares.items()}

    def _now(self) -> Spent:
        own = psutil.Process().cpu_times()
        named = {name: spent_by(pid) for name, pid in self._servers.items()}
        # wrk has ended by now, and the servers have not: so it is what ended children took.
        named["load tool"] = own.user + own.system + own.children_user + own.children_system
        return Spent(named, _spent_by_all(), time.monotonic())


class NeighbourWatch:
    """Tells what cores others had while something was measured, on average and at the worst.

    Others are all but this process with whatever it started, and but the processes ``besides``
    with theirs; what the machine's host kept from it (steal) counts as others' too. ``worst`` is
    the highest average of a window of ``every_s`` seconds, so that a neighbour of a minute is seen
    in an hour.
    """

    def __init__(self, *, besides: Collection[int] = (), every_s: float = 5.0) -> None:
        self._besides = tuple(besides)
        self._every_s = every_s
        # Moments, and the seconds of processor time that others had spent until then.
        self.samples: list[tuple[float, float]] = []
        self._watching = ExitStack()

    def __enter__(self) -> Self:
        self._watching.enter_context(_repeated(self._every_s, lambda _: self._sample()))
        return self

    def __exit__(self, *_: object) -> None:
        self._watching.close()
        self._sample()

    @property
    def mean(self) -> float:
        """The cores that others had on average; 0 where it took too little time to say."""
        (begun, before), (ended, after) = self.samples[0], self.samples[-1]
        took = ended - begun
        return max(0.0, after - before) / took if took >= _LEAST_JUDGED_S else 0.0

    @property
    def worst(self) -> float:
        """The cores that others had in the window in which they had most."""
        windows = zip(self.samples, self.samples[1:], strict=False)
        shares = [
            (after - before) / (ended - begun)
            for (begun, before), (ended, after) in windows
            if ended - begun >= self._every_s / 2
        ]
        return max([self.mean, *shares])

    def _sample(self) -> None:
        # What ours have spent that ended meanwhile is in their parents' times of children.
        ours = sum(spent_by(pid, with_ended=True) for pid in (psutil.Process().pid, *self._besides))
        self.samples.append((time.monotonic(), _spent_by_all() - ours))


def crowded(mean: float, worst: float, *, cores: int) -> bool:
    """Whether others, who had so many of these cores, had enough for times to be theirs as well."""
    return mean > _DISTURBED_SHARE * cores or worst > _WORST_SHARE * cores


class PaceWatch:
    """Tells how fast the processor is meanwhile: it is given the same work now and then.

    What makes it slower is the processor, throttled, or shared with a neighbour: also with one on
    its host, that nothing else here shows. Memory has no part in it. The work is Python's own, so
    paces are of one version of it.
    """

    def __init__(self, *, every_s: float = 1.0) -> None:
        self._every_s = every_s
        self._next = -math.inf
        # Of each look, the fastest of some runs of the work.
        self.ms: list[float] = []

    def look(self, *, now: bool = False) -> None:
        """Give it the work; unless ``now``, not if it had it a moment ago."""
        if time.monotonic() < self._next and not now:
            return
        waited = []
        for _ in range(_COUNTS):
            started = time.perf_counter()
            sum(number & 7 for number in range(_COUNTED))
            waited.append((time.perf_counter() - started) * 1000)
        self.ms.append(min(waited))
        self._next = time.monotonic() + self._every_s


def listening_at(url: str) -> int | None:
    """The process that listens on this machine at the host and port of ``url``, where one does."""
    parts = urlsplit(url)
    if parts.hostname not in _LOOPBACK:
        return None
    port = parts.port or _DEFAULT_PORT
    try:
        sockets: Any = psutil.net_connections(kind="tcp")  # an address is () where there is none
    except psutil.AccessDenied:
        return None
    listening = {
        int(one.laddr.port): int(one.pid)
        for one in sockets
        if one.status == psutil.CONN_LISTEN and one.pid is not None
    }
    return listening.get(port)


def _spent_by_all() -> float:
    """Seconds of processor time that were spent on this machine so far, by anyone."""
    times: dict[str, float] = psutil.cpu_times()._asdict()
    return sum(spent for name, spent in times.items() if name not in _IDLE and name not in _WITHIN)


def spent_by(pid: int, *, with_ended: bool = False) -> float:
    """Seconds of processor time of a process and its descendants, with ended ones or without."""
    total = 0.0
    for one in _tree(pid):
        try:
            times = one.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
        if with_ended:
            total += times.children_user + times.children_system
    return total


def _tree(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
