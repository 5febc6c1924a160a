"""Rows of a catalogue as `draw_sample` writes them, without their pictures."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np

from twinlens.catalog.video import to_rfc3339
from twinlens.samples.catalogue import make_video_id
from twinlens.samples.subjects import SUBJECTS
from twinlens.samples.titles import LANGUAGES, read_phrases
from twinlens.samples.world import DAYS, START


def make_rows(count: int, *, new: float = 0.25, seed: int = 0) -> list[dict[str, Any]]:
    """Return rows of ``count`` videos; the share ``new`` is published while a log is drawn."""
    rng = np.random.default_rng(seed)
    rows = []
    for at in range(count):
        subject = str(rng.choice(list(SUBJECTS)))
        language = str(rng.choice(LANGUAGES, p=(0.5, 0.3, 0.2)))
        phrases = read_phrases(language)[0][subject]
        days = rng.uniform(0, DAYS) if rng.random() < new else -rng.uniform(1, 1000)
        rows.append(
            {
                "video_id": make_video_id(seed, at),
                "title": f"{subject} {at}",
                "channel": str(rng.choice(phrases.channels)),
                "language": language,
                "category": SUBJECTS[subject].category,
                "tags": [str(tag) for tag in rng.choice(phrases.tags, 3, replace=False)],
                "published_at": to_rfc3339(START + timedelta(days=float(days))),
                "duration_s": int(min(14_400, rng.lognormal(6, 0.9) + 15)),
                "subject": subject,
            }
        )
    return rows
