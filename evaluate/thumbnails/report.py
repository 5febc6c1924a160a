"""What was found, as JSON values with intervals, and as a table for a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any, Final

import numpy as np

from twinlens.catalog.sources.pictures import some_of
from twinlens.evaluate.bootstrap import mean
from twinlens.evaluate.intervals import over_rounds
from twinlens.evaluate.machine import machine_line
from twinlens.evaluate.thumbnails.contenders import ORIGINAL, Contender
from twinlens.evaluate.thumbnails.distortions import DISTORTIONS
from twinlens.evaluate.thumbnails.evaluation import Findings
from twinlens.evaluate.thumbnails.measures import Shares
from twinlens.evaluate.thumbnails.pixels import COMPONENTS, Pixels
from twinlens.evaluate.thumbnails.speed import YARDSTICK, Speed, times_the_yardstick

_GROUPS: Final = {
    "all": DISTORTIONS,
    "seen": tuple(one for one in DISTORTIONS if one.seen),
    "unseen": tuple(one for one in DISTORTIONS if not one.seen),
}
_FIRST_COLUMN: Final = 34


def report(
    contenders: Sequence[Contender],
    findings: Mapping[str, Findings],
    speeds: Mapping[str, Speed],
) -> dict[str, Any]:
    """By encoder everything that was measured, each share as a mean with its 95 % interval."""
    multiples = times_the_yardstick(speeds) if speeds else {}
    return {
        "distortions": [{"name": one.name, "seen": one.seen} for one in DISTORTIONS],
        "encoders": [
            {
                "name": one.name,
                "bars": one.bars,
                "treatment": one.treatment,
                "recall": {
                    str(depth): _recall(shares)
                    for depth, shares in findings[one.name].recall.items()
                },
                "least_above_baselines": _least_above(one.name, findings),
                "likeness": {
                    "asked": _likeness(one.name, findings, "likeness_asked"),
                    "all": _likeness(one.name, findings, "likeness_all"),
                },
                "health": findings[one.name].health._asdict(),
                "speed": _speed(speeds, multiples, one.name),
            }
            for one in contenders
        ],
        "yardstick": _speed(speeds, multiples, YARDSTICK),
    }


def table(report: Mapping[str, Any]) -> str:
    """The report for a person; ``±`` is half of a 95 % interval."""
    encoders = report["encoders"]
    labels = [label(one["name"]) for one in encoders]
    width = max(14, *(len(label) + 2 for label in labels))
    lines = [
        machine_line(report["machine"], package="torch"),
        f"{report['source']}: {report['pictures']} pictures, {report['asked']} of them damaged and "
        f"looked for; components fitted to {report['fitted_to']}",
    ]
    if report["left_out"]:
        lines.append(f"left out, {len(report['left_out'])}: {some_of(report['left_out'])}")
    lines.append("")
    lines += [
        f"{label}: {one['treatment']}; bars {one['bars']}"
        for label, one in zip(labels, encoders, strict=True)
    ]
    lines.append("")
    for depth in ("1", "10"):
        lines.append(_line(f"recall@{depth} of the original", labels, width))
        for distortion in report["distortions"]:
            name = distortion["name"]
            values = [
                f"{one['recall'][depth]['by_distortion'][name]['value']:.3f}" for one in encoders
            ]
            seen = "" if distortion["seen"] else ", unseen"
            lines.append(_line(f"  {name}{seen}", values, width))
        for group in _GROUPS:
            values = [_shown(one["recall"][depth][group]) for one in encoders]
            lines.append(_line(f"  mean, {group}", values, width))
        lines.append("")
    lines += [_line(*row, width) for row in _rest(report)]
    return "\n".join(lines)


def label(name: str) -> str:
    """What tells the encoder called ``name`` apart from others in a column's head."""
    kind = ORIGINAL if name.startswith(ORIGINAL) else ""
    return (kind + PurePath(name.rpartition(":")[2]).name)[:22]


def _recall(shares: Mapping[str, Shares]) -> dict[str, Any]:
    groups = {
        group: mean(np.mean([shares[one.name] for one in members], axis=0)).to_json()
        for group, members in _GROUPS.items()
    }
    by_distortion = {name: mean(values).to_json() for name, values in shares.items()}
    return {"by_distortion": by_distortion} | groups


def _least_above(name: str, findings: Mapping[str, Findings]) -> dict[str, Any] | None:
    """Where recall@1 is least above (or most below) the best of pixels, PCA and the original."""
    baselines = [
        findings[other].recall[1]
        for other in findings
        if _is_baseline(other) and not _is_baseline(name)
    ]
    if not baselines:
        return None
    above = {
        distortion: float(own.mean() - max(other[distortion].mean() for other in baselines))
        for distortion, own in findings[name].recall[1].items()
    }
    least = min(above, key=above.__getitem__)
    return {"distortion": least, "value": round(above[least], 5)}


def _is_baseline(name: str) -> bool:
    return name in {Pixels.name, COMPONENTS} or name.startswith(ORIGINAL)


def _likeness(name: str, findings: Mapping[str, Findings], which: str) -> dict[str, Any] | None:
    """Shares by depth and, against pixels over the same pictures, the paired difference at 1."""
    shares: Mapping[int, Shares] | None = getattr(findings[name], which)
    if shares is None:
        return None
    told: dict[str, Any] = {str(depth): mean(values).to_json() for depth, values in shares.items()}
    if Pixels.name in findings and name != Pixels.name:
        told["1_above_pixels"] = mean(
            shares[1] - getattr(findings[Pixels.name], which)[1]
        ).to_json()
    return told


def _speed(
    speeds: Mapping[str, Speed], multiples: Mapping[str, Speed], name: str
) -> dict[str, Any] | None:
    if name not in speeds:
        return None
    told = {
        "pictures_per_s": speeds[name].whole,
        "times_the_original": multiples[name].whole,
        "network_pictures_per_s": speeds[name].network,
        "network_times_the_original": multiples[name].network,
    }
    return {
        key: over_rounds(values).to_json() | {"rounds": [round(value, 3) for value in values]}
        for key, values in told.items()
        if values
    }


def _rest(report: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    encoders = report["encoders"]
    labels = [label(one["name"]) for one in encoders]
    if any(one["least_above_baselines"] for one in encoders):
        yield (
            "  least above the baselines at 1",
            [_least_shown(one["least_above_baselines"]) for one in encoders],
        )
        yield (
            "    on",
            [(one["least_above_baselines"] or {}).get("distortion", "")[:13] for one in encoders],
        )
        yield "", []
    for which in ("asked", "all"):
        rows = [one["likeness"][which] for one in encoders]
        if any(rows):
            yield f"likeness, pictures {which}", labels
            yield "  1-NN category", [_shown(row["1"]) for row in rows]
            if any("1_above_pixels" in row for row in rows):
                yield "  above pixels", [_shown(row.get("1_above_pixels")) for row in rows]
            yield "  precision@10", [_shown(row["10"]) for row in rows]
            yield "", []
    yield "health", labels
    for name, what in (
        ("dim", "dimension"),
        ("dead_outputs", "dead outputs"),
        ("ever_nonzero", "outputs ever not 0"),
        ("zero_vectors", "pictures with only zeros"),
    ):
        yield f"  {what}", [str(one["health"][name]) for one in encoders]
    yield "  effective rank", [f"{one['health']['effective_rank']:.1f}" for one in encoders]
    if report["yardstick"]:
        yield "", []
        yield "speed, one thread", [*labels, YARDSTICK]
        speeds = [one["speed"] for one in encoders] + [report["yardstick"]]
        for name, what in (
            ("pictures_per_s", "bytes to vector, a second"),
            ("times_the_original", "  times the original"),
            ("network_pictures_per_s", "network alone, a second"),
            ("network_times_the_original", "  times the original"),
        ):
            yield (
                f"  {what}",
                [f"{one[name]['median']:.4g}" if name in one else "" for one in speeds],
            )


def _shown(share: Mapping[str, float] | None) -> str:
    if share is None:
        return ""
    return f"{share['value']:.3f} ±{(share['high'] - share['low']) / 2:.3f}"


def _least_shown(least: Mapping[str, Any] | None) -> str:
    return "" if least is None else f"{least['value']:+.4f}"


def _line(first: str, cells: Sequence[str], width: int) -> str:
    return f"{first:<{_FIRST_COLUMN}}{''.join(f'{cell:>{width}}' for cell in cells)}".rstrip()
