"""A bar that shows how far long work is."""

from __future__ import annotations

import sys
from typing import Any


def open_progress_bar(total: int | None, unit: str, description: str) -> Any:
    """Return tqdm's bar; its ``update`` gets the number of units done since its last call."""
    from tqdm import tqdm

    # Where nobody watches (a log file), a line every half a minute is enough.
    interval = 0.2 if sys.stderr.isatty() else 30
    return tqdm(total=total, unit=unit, desc=description, mininterval=interval, leave=False)
