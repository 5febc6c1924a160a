"""Rankers held against one another on the days after training."""

import json
from datetime import timedelta

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from tests.recommender.drawn_log import START, draw_videos, to_table
from tests.recommender.shown_log import draw_feeds
from twinlens.catalog.errors import UsageError
from twinlens.cli import main
from twinlens.evaluate.feed.ranking import CLICKS, LIGHTGBM, NETWORK, TABLE_1, measure_ranking
from twinlens.recommender.histories import to_milliseconds
from twinlens.recommender.ranking_training import RankingOptions

VIDEOS = draw_videos()
END = to_milliseconds(START + timedelta(days=3))
QUICK = RankingOptions(hidden=(8,), epochs=2, caps=(1.0,), batch_size=64, learning_rate=0.01)


def draw_bait(person: int, video: int, rng: np.random.Generator) -> float:
    """Even videos are clicked by half, and left after 3 s; odd by a fifth, and watched for 60."""
    return 3.0 * (rng.random() < 0.5) if video % 2 == 0 else 60.0 * (rng.random() < 0.2)


EVENTS = to_table(draw_feeds(draw_bait, people=60, days=4, hits=10))


def test_where_clicks_are_bait_watch_time_wins_by_the_seconds_it_gets_right():
    found = measure_ranking(EVENTS, VIDEOS, end=END, options=QUICK, seeds=2)
    losses = {name: row["per_user_loss"] for name, row in found["rankers"].items()}
    assert losses["by lot"] == pytest.approx(0.5, abs=0.06)
    assert losses[NETWORK] < losses["by lot"] < losses[CLICKS]
    assert found["network_below"][CLICKS]["low"] > 0
    assert set(found["rankers"]) == {
        *("by lot", "video's mean watch time"),
        *(LIGHTGBM, CLICKS, NETWORK),
    }
    assert len(found["rankers"][NETWORK]["by_seed"]) == 2
    assert found["rankers"][NETWORK]["predicted_over_observed"] == pytest.approx(1, abs=0.3)
    assert {one["objective"] for one in found["chosen"]} <= {*QUICK.objectives}
    deciles = [one["predicted_s"] for one in found["calibration"]]
    assert len(deciles) == 10
    assert deciles == sorted(deciles)


@pytest.mark.slow
def test_the_papers_table_and_its_ablations_are_drawn_again():
    table = measure_ranking(EVENTS, VIDEOS, end=END, options=QUICK, seeds=1, ablate=True)["table_1"]
    assert len(table) == len(TABLE_1) + 3
    deepest, _, exact, equal = table[-4:]
    assert (deepest["hidden"], deepest["paper"]) == ("1024-512-256", pytest.approx(0.346))
    assert (exact["hidden"], exact["paper"]) == ("exact odds", None)
    assert (equal["hidden"], equal["paper"]) == ("equal weights", pytest.approx(0.387))
    assert equal["per_user_loss"] > deepest["per_user_loss"]


def test_the_command_holds_rankers_against_one_another(tmp_path):
    log, out = tmp_path / "events.parquet", tmp_path / "ranking.json"
    picture = tmp_path / "ranking.png"
    pq.write_table(EVENTS, log)
    arguments = ["evaluate", "feed", str(log), "--protocol", "ranking", "--json", str(out)]
    arguments += ["--plot", str(picture)]
    done = CliRunner().invoke(main, [*arguments, "--seeds", "1", "--epochs", "1"])
    assert done.exit_code == 0, done.output
    assert "per-user loss" in done.output
    assert "LightGBM" in done.output
    assert json.loads(out.read_text())["impressions"]["test"] == 600
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_later_days_with_nothing_to_judge_by_are_named():
    end = to_milliseconds(START + timedelta(days=9))
    with pytest.raises(UsageError, match="of the last day"):
        measure_ranking(EVENTS, VIDEOS, end=end, options=QUICK, seeds=1)
    end = to_milliseconds(START + timedelta(days=4))
    with pytest.raises(UsageError, match="no page of the later days"):
        measure_ranking(EVENTS, VIDEOS, end=end, options=QUICK, seeds=1)
