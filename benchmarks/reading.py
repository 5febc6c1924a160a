"""How fast rows of a source are read: clean ones, and a catalogue with every oddity mixed in.

    python -m twinlens.benchmarks.reading [--rows 10000] [--json FILE]

Prints rows a second by format, and what is lost and left empty of the odd catalogue. To compare two
versions, run it in both checkouts.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from twinlens.catalog.sources import Reject, open_source

#: Cells that were met in exports, by column. Some can be read and some can't; none costs a video.
ODDITIES: Final[dict[str, list[object]]] = {
    "published_at": ["03/04/2023", "Nov 5, 2023", "20231105.0", "1699178400", "soon", "NA"],
    "view_count": ["1.2M views", "1,234", "LIVE", "-", "1.234", "N/A", "-5"],
    "duration": ["12:34", "PT1H2M3S", "LIVE", "nan", "1,500", "12m 34s"],
    "tags": ["['a' 'b']", "['a' ... 'z']", "[none]", "a|b", '{"a": 1}'],
    "url": ["/watch?v=1", "www.video.example/1", "javascript:alert(1)", "null"],
    "channel": ["null", "Cafe\u0301", "\\N", "x" * 30_000],
    "thumbnail": ["gone.jpg", "/srv/elsewhere/x.jpg", "..\\x.jpg", "data:image/jpeg;base64,????"],
}
_TITLE: Final = "A walk in Münster, part {} of many"


def make_rows(count: int, *, odd: bool) -> list[dict[str, Any]]:
    """Return rows of text, as a CSV has them; of odd ones each has one oddity, in turn."""
    oddities = [(name, cell) for name, cells in ODDITIES.items() for cell in cells]
    rows = []
    for number in range(count):
        row: dict[str, Any] = {
            "video_id": f"v{number}",
            "title": _TITLE.format(number),
            "channel": f"Channel {number % 50}",
            "tags": "travel|walking|city",
            "published_at": "2023-11-05T10:00:00Z",
            "duration": str(60 + number % 600),
            "view_count": str(number * 7),
            "url": f"https://video.example/watch?v={number}",
            "thumbnail": "",
        }
        if odd:
            name, cell = oddities[number % len(oddities)]
            row[name] = cell
        rows.append(row)
    return rows


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write ``rows`` in the format that the name of ``path`` asks for."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def measure(path: Path, *, times: int) -> dict[str, Any]:
    """Return the best of some runs, in rows a second of processor time, and what became of them."""
    best = float("inf")
    for _ in range(times):
        lost: Counter[str] = Counter()
        left_empty: Counter[str] = Counter()
        rows = 0
        began = time.process_time()
        for row in open_source(str(path)):
            rows += 1
            if isinstance(row, Reject):
                lost[row.reason] += 1
            else:
                left_empty.update(note.label for note in getattr(row, "notes", ()))
        best = min(best, time.process_time() - began)
    return {
        "rows": rows,
        "rows_per_s": round(rows / best),
        "lost": dict(lost),
        "left_empty": dict(left_empty),
    }


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for odd in (False, True):
            rows = make_rows(asked.rows, odd=odd)
            for suffix in (".csv", ".jsonl", ".parquet"):
                path = Path(folder, f"{'odd' if odd else 'clean'}{suffix}")
                write(path, rows)
                results[path.name] = measure(path, times=asked.times)
    results["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    for name, result in results.items():
        print(name, json.dumps(result))  # noqa: T201
    if asked.json is not None:
        asked.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
