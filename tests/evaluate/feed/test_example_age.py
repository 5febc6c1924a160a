"""Figure 4: a log where every day has its fashion, and what networks expect of a day."""

from datetime import timedelta

import numpy as np
import pytest

from tests.recommender.drawn_log import START, draw_events, draw_videos, to_table
from twinlens.catalog.errors import UsageError
from twinlens.evaluate.feed.example_age import WATCHED, draw_example_age, measure_example_age
from twinlens.events.event import Event, EventType
from twinlens.recommender.candidate_training import TrainingOptions
from twinlens.recommender.interactions import Interactions

OPTIONS = TrainingOptions(
    epochs=12, patience=12, dim=8, negatives=64, learning_rate=0.02, table_learning_rate=0.05
)
DAYS, A_DAY = 8, 4


def draw_fashions(people=1200):
    """Each person comes on one day, and watches two of its fashion, half of which the next has."""
    rng = np.random.default_rng(0)
    for person in range(people):
        day = person % DAYS
        for number, video in enumerate(rng.permutation(2 * A_DAY)[:2]):
            yield Event(
                type=EventType.WATCH,
                event_id=f"{person}-{number}",
                person_id=f"p{person:03d}",
                at=START + timedelta(days=day, minutes=number + person / 10),
                video_id=f"v{A_DAY * day + video}",
            )


def measure(events, videos):
    known = Interactions.from_events(to_table(list(events)), videos)
    return measure_example_age(known, videos, OPTIONS, days=1, seeds=1, on_step=lambda _: None)


@pytest.mark.slow
def test_a_network_that_is_told_the_age_expects_the_fashion_of_each_day(tmp_path):
    measured = measure(draw_fashions(), draw_videos())
    assert measured.correlations["example age"] > 0.6
    assert measured.correlations["shuffled ages"] < 0.3
    assert measured.correlations["no example age"] == 0
    best = measured.days.index(0)
    for name in WATCHED, "example age":
        assert measured.curves[name][best] == max(measured.curves[name])
    assert {name: len(of["HR@50"]) for name, of in measured.found.items()} == dict.fromkeys(
        measured.found, 1
    )
    draw_example_age(measured, tmp_path / "age.png")
    assert (tmp_path / "age.png").read_bytes().startswith(b"\x89PNG")


def test_a_log_of_few_days_or_without_times_is_refused():
    with pytest.raises(UsageError, match="are needed"):
        measure(draw_events(), draw_videos())
    with pytest.raises(UsageError, match="no times"):
        measure(draw_events(timed=False), draw_videos())
