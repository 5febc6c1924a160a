"""docs/operations.md names what an operator meets."""

from __future__ import annotations

import re
from pathlib import Path

MANUAL = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
METRICS = MANUAL[MANUAL.index("### Metrics") : MANUAL.index("## Docker Compose")]


def test_every_metric_is_documented_and_nothing_else(client):
    client.get("/api/v1/search?q=kitchen")
    text = client.get("/metrics").text
    served = set(re.findall(r"^# TYPE (twinlens_\w+) ", text, re.MULTILINE))
    # When each began is there with one process only.
    served = {name for name in served if not name.endswith("_created")}
    assert set(re.findall(r"^\| `(twinlens_\w+)` \|", METRICS, re.MULTILINE)) == served
