"""From answers to figures, and from figures to whether the demands are met."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from twinlens.benchmarks.load.wrk import Answers
from twinlens.evaluate.intervals import Interval, over_rounds

# The demands of the project.
LEAST_SPEEDUP: Final = 1.4
SPEEDUP_CLIENTS: Final = (1, 8)
MOST_OUTSIDE_BY_INSIDE: Final = 1.0
MOST_GROWTH: Final = 0.05
# Growth is looked for over the last so many seconds, or the second half of a shorter run; each end
# is the median over this share of it.
GROWTH_OVER_S: Final = 300.0
_END_SHARE: Final = 0.1
_PERCENTILES: Final = (50, 95, 99)
MEMORY: Final = ("rss_bytes", "pss_bytes", "anonymous_bytes")


def figures(answers: Answers) -> dict[str, Any]:
    """Requests a second, failures, and what clients waited: over all, and by kind."""
    return {
        "seconds": round(answers.seconds, 2),
        "requests": int(answers.status.size),
        "per_second": round(answers.status.size / answers.seconds, 2),
        "failed": answers.failed,
        "errors": dict(answers.errors),
        "statuses": {
            str(status): int(count)
            for status, count in zip(*np.unique(answers.status, return_counts=True), strict=True)
        },
        "waited_ms": waits(answers.waited_us),
        "waited_ms_by_kind": {
            str(kind): waits(answers.waited_us[answers.kind == kind])
            for kind in np.unique(answers.kind)
        },
        "body_bytes": answers.body_bytes,
    }


def waits(waited_us: npt.NDArray[np.float64]) -> dict[str, float | int]:
    """How many waits, their percentiles and the longest, in milliseconds."""
    if not waited_us.size:
        return {"count": 0}
    found = np.percentile(waited_us / 1000, _PERCENTILES)
    return {
        "count": int(waited_us.size),
        **{
            f"p{rank}": round(float(value), 2)
            for rank, value in zip(_PERCENTILES, found, strict=True)
        },
        "most": round(float(waited_us.max() / 1000), 2),
    }


def windows(answers: Answers, *, begun_s: float, window_s: float) -> list[dict[str, Any]]:
    """The same by the time of the answers: requests a second, failures and waits per window."""
    ended_s = (answers.sent_us + answers.waited_us) / 1e6 - begun_s
    found = []
    # The last takes what is left over, for it would be too short to say anything.
    count = max(1, int(answers.seconds / window_s))
    for number in range(count):
        until_s = (number + 1) * window_s if number + 1 < count else np.inf
        within = (ended_s >= number * window_s) & (ended_s < until_s)
        length_s = min(until_s, answers.seconds) - number * window_s
        found.append(
            {
                "at_s": round(number * window_s, 2),
                "per_second": round(int(within.sum()) / length_s, 2),
                "failed": int((answers.status[within] != 200).sum()),
                "waited_ms": waits(answers.waited_us[within]),
            }
        )
    return found


def growth(memory: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """By which share each kind of memory grew over the last five minutes, or the second half."""
    at_s = np.array([sample["at_s"] for sample in memory])
    span_s = min(GROWTH_OVER_S, at_s[-1] / 2)
    first = at_s[-1] - span_s
    # On a machine too busy to sample in time, at least the next one.
    until = max(first + _END_SHARE * span_s, at_s[at_s >= first][0])
    early = (at_s >= first) & (at_s <= until)
    late = at_s >= at_s[-1] - _END_SHARE * span_s
    found: dict[str, Any] = {"over_s": round(float(span_s), 1)}
    for name in MEMORY:
        values = np.array([sample[name] for sample in memory], dtype=np.float64)
        found[name] = round(float(np.median(values[late]) / np.median(values[early]) - 1), 4)
    return found


def summarize(report: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, bool]]:
    """What the slices come to, and whether each demand is met.

    Figures of the sweep are medians over the rounds; ratios are formed within a round.
    """
    slices = report["slices"]
    servers = list(dict.fromkeys(one["server"] for one in slices))
    clients = list(dict.fromkeys(one["clients"] for one in slices))
    rate = {
        (server, count): np.array(
            [
                one["per_second"]
                for one in slices
                if one["server"] == server and one["clients"] == count
            ]
        )
        for server in servers
        for count in clients
    }
    first, *others = servers
    summary: dict[str, Any] = {
        "per_second": {
            server: {str(count): _json(rate[server, count]) for count in clients}
            for server in servers
        },
        "by_server": {
            f"{first} / {other}": {
                str(count): _json(rate[first, count] / rate[other, count]) for count in clients
            }
            for other in others
        },
        "failed": {
            server: sum(one["failed"] for one in slices if one["server"] == server)
            for server in servers
        },
        "disturbed": any(one["disturbed"] for one in slices),
    }
    cost = report["overhead"]
    met = {"no request of the sweep failed": summary["failed"][first] == 0}
    met |= {
        f"beside encoder and engine, {how}: at most {MOST_OUTSIDE_BY_INSIDE:g} times these": (
            cost[how]["outside_by_inside"] <= MOST_OUTSIDE_BY_INSIDE
        )
        for how in ("by stages", "strict")
    }
    one, many = SPEEDUP_CLIENTS
    if one in clients and many in clients:
        summary["speedup"] = {
            server: _json(rate[server, many] / rate[server, one]) for server in servers
        }
        met[f"{many} clients: at least {LEAST_SPEEDUP} times the throughput of {one}"] = (
            summary["speedup"][first]["median"] >= LEAST_SPEEDUP
        )
    if (endurance := report["endurance"]) is not None:
        summary["growth"] = growth(endurance["memory"])
        minutes = endurance["seconds"] / 60
        met[f"no error in {minutes:.3g} minutes"] = endurance["failed"] == 0
        met[
            f"memory grew by less than {MOST_GROWTH:.0%} over the last "
            f"{summary['growth']['over_s']:g} s"
        ] = all(summary["growth"][name] < MOST_GROWTH for name in MEMORY)
    return summary, met


def slice_line(one: Mapping[str, Any]) -> str:
    """One slice for a person."""
    waited = one["waited_ms"]
    kinds = ", ".join(
        f"{kind} {found['p50']:.1f}" for kind, found in one["waited_ms_by_kind"].items()
    )
    return (
        f"{one['server']}, {one['clients']} clients: {one['per_second']:.1f} a second, "
        f"p50 {waited['p50']:.1f}, p95 {waited['p95']:.1f}, p99 {waited['p99']:.1f} ms "
        f"(p50 of {kinds}), {one['failed']} failed"
        f"{', DISTURBED' if one['disturbed'] else ''}"
    )


def _json(values: npt.NDArray[np.float64]) -> dict[str, float]:
    return over_rounds(values).to_json()


def shown(values: Mapping[str, float]) -> str:
    """A median with its interval, as ``_json`` gave it."""
    return str(Interval(**values))
