"""The ranker: what it learns, that it serves what it learned, and how it is kept."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
import torch

from tests.recommender.drawn_log import START, draw_videos, to_table
from tests.recommender.shown_log import draw_feeds
from twinlens.catalog.errors import StoreCorrupt, UsageError
from twinlens.recommender.candidates import Candidate, FeedQuery, Ranker
from twinlens.recommender.histories import to_milliseconds
from twinlens.recommender.person import Context, Person
from twinlens.recommender.ranking_model import (
    SETTINGS_FILE,
    STATISTICS_FILE,
    WEIGHTS_FILE,
    Objective,
    RankingModel,
    WatchTimeRanker,
)
from twinlens.recommender.ranking_training import (
    RankingExamples,
    RankingOptions,
    calibrate,
    measure_loss,
    train_ranker,
)
from twinlens.stores.base import StoredVideo

VIDEOS = draw_videos()
END = to_milliseconds(START + timedelta(days=3))
QUICK = RankingOptions(
    hidden=(8,), epochs=2, objectives=(Objective.WATCH_TIME,), caps=(1.0,), batch_size=64
)


def watch_own_kind(person: int, video: int, rng: np.random.Generator) -> float:
    likes = person % 2 == video % 2
    return float(rng.integers(20, 60)) if rng.random() < (0.7 if likes else 0.2) else 0.0


EVENTS = draw_feeds(watch_own_kind)
EXAMPLES = RankingExamples.make(to_table(EVENTS), VIDEOS, end=END)
TRAINED = train_ranker(EXAMPLES, QUICK)


def as_candidates(video_ids) -> list[Candidate]:
    return [Candidate(StoredVideo(video_id, {"video_id": video_id})) for video_id in video_ids]


def test_features_at_a_request_are_those_of_training_to_the_bit():
    ranker = WatchTimeRanker(TRAINED.model, VIDEOS)
    later = EXAMPLES.days == -1
    shown, features = EXAMPLES.impressions.select(later), EXAMPLES.select_features(later)
    assert len(np.unique(shown.pages)) > 20
    by_feed = {}
    for event in EVENTS:
        if event.type == "impression" and to_milliseconds(event.at) >= END:
            by_feed.setdefault(event.feed_id, []).append(event)
    pages = {}
    for hits in by_feed.values():
        person, at = hits[0].person_id, hits[0].at
        known = [one for one in EVENTS if one.person_id == person and one.at < at]
        query = FeedQuery(person=Person.from_events(known), at=at, context=Context(language="en"))
        served = ranker.make_features(query, as_candidates(one.video_id for one in hits))
        pages[to_milliseconds(at)] = (hits, served)
    for moment in np.unique(shown.asked):
        rows = np.flatnonzero(shown.asked == moment)
        hits, served = pages[moment]
        order = [
            [VIDEOS.rows[one.video_id] for one in hits].index(row) for row in shown.videos[rows]
        ]
        np.testing.assert_array_equal(features.codes[rows], served.codes[order])
        other = [at for at, name in enumerate(served.names) if name != "position"]
        np.testing.assert_array_equal(
            features.numbers[rows][:, other], served.numbers[order][:, other]
        )
        assert set(served.numbers[:, served.names.index("position")]) == {1}


def test_numpy_says_what_torch_says():
    model, network = TRAINED.model, TRAINED.network
    quantiles = torch.from_numpy(model.quantiles.transform(EXAMPLES.features.numbers))
    with torch.no_grad():
        said = network.eval()(torch.from_numpy(EXAMPLES.features.codes).long(), quantiles)
    np.testing.assert_allclose(model.predict_logits(EXAMPLES.features), said.numpy(), atol=1e-5)


def test_the_zero_row_stays_zero():
    tables = {name: of for name, of in TRAINED.model.weights.items() if name.startswith("tables")}
    assert len(tables) == 8
    assert all(not of[0].any() for of in tables.values())
    assert tables["tables.video.weight"][1:].all()


def test_a_kept_ranker_says_the_same_and_is_the_same_files(tmp_path):
    again = train_ranker(EXAMPLES, QUICK)
    for folder, model in (tmp_path / "a", TRAINED.model), (tmp_path / "b", again.model):
        folder.mkdir()
        model.save(folder)
    loaded = RankingModel.load(tmp_path / "a")
    assert loaded.summary == TRAINED.model.summary
    np.testing.assert_array_equal(
        loaded.predict(EXAMPLES.features), TRAINED.model.predict(EXAMPLES.features)
    )
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes(), file.name


@pytest.mark.parametrize("file", [WEIGHTS_FILE, SETTINGS_FILE, STATISTICS_FILE])
def test_a_damaged_ranker_is_named(tmp_path, file):
    TRAINED.model.save(tmp_path)
    (tmp_path / file).write_bytes(b"{}")
    with pytest.raises(StoreCorrupt, match=tmp_path.name):
        RankingModel.load(tmp_path)


def test_whom_and_what_it_does_not_know_it_ranks_all_the_same():
    ranker: Ranker = WatchTimeRanker(TRAINED.model, VIDEOS)
    query = FeedQuery(
        person=Person(),
        at=START + timedelta(days=4),
        context=Context(region="nowhere", language="xx"),
        seed_video_id="gone",
    )
    scores = ranker.rank(query, as_candidates(["v0", "new", "v1"]))
    assert scores.dtype == np.float32
    assert (scores > 0).all()
    assert np.isfinite(scores).all()
    assert ranker.rank(query, []).shape == (0,)


def test_a_video_that_left_the_catalogue_does_no_harm():
    fewer = WatchTimeRanker(TRAINED.model, draw_videos(7))
    query = FeedQuery(person=Person(), at=START + timedelta(days=4))
    assert np.isfinite(fewer.rank(query, as_candidates(["v0", "v39"]))).all()


def train_on(watch, *, objective=Objective.WATCH_TIME, **more):
    """Train on a log of two videos' kinds in one feed; return expected seconds by the video."""
    events = draw_feeds(watch, people=150, days=3, hits=20, **more)
    examples = RankingExamples.make(to_table(events), VIDEOS)
    options = replace(
        QUICK,
        hidden=(16,),
        objectives=(objective,),
        epochs=1,
        learning_rate=0.02,
        batch_size=32,
        drop_rows=0.0,
    )
    trained = train_ranker(examples, options)
    return examples, trained.model


def draw_bait(person: int, video: int, rng: np.random.Generator) -> float:
    """Even videos are clicked by half, and left after 3 s; odd by a tenth, and watched for 60."""
    return 3.0 * (rng.random() < 0.5) if video % 2 == 0 else 60.0 * (rng.random() < 0.1)


@pytest.mark.parametrize("objective", [Objective.WATCH_TIME, Objective.CLICK])
def test_clickbait_falls_by_watch_time_and_rises_by_clicks(objective):
    _, model = train_on(draw_bait, objective=objective)
    query = FeedQuery(person=Person(), at=START + timedelta(days=4))
    scores = WatchTimeRanker(model, VIDEOS).rank(query, as_candidates(VIDEOS.video_ids))
    bait, worth = scores[::2], scores[1::2]
    if objective is Objective.CLICK:
        assert bait.min() > worth.max()
    else:
        assert bait.max() < worth.min()


def test_exact_odds_are_seconds_and_the_papers_are_too_many_by_the_share_of_clicks():
    chances = np.linspace(0.05, 0.6, len(VIDEOS))

    def watch(person: int, video: int, rng: np.random.Generator) -> float:
        return 30.0 * (rng.random() < chances[video])

    for objective in Objective.WATCH_TIME, Objective.WATCH_TIME_PAPER:
        examples, model = train_on(watch, objective=objective)
        odds = np.exp(model.predict_logits(examples.features))
        shown = examples.impressions
        groups = np.array_split(np.argsort(chances[shown.videos]), 10)
        said = np.array([odds[group].mean() for group in groups])
        clicked = np.array([shown.clicked[group].mean() for group in groups])
        if objective is Objective.WATCH_TIME:
            assert said / (30 * clicked) == pytest.approx(np.ones(10), abs=0.25)
        else:
            assert said / (30 * clicked / (1 - clicked)) == pytest.approx(np.ones(10), abs=0.25)


def test_calibration_rises_and_predicts_what_was_watched():
    rng = np.random.default_rng(0)
    logits = rng.normal(2, 1, 4000).astype(np.float32)
    watched = rng.exponential(2.5 * np.exp(logits.astype(float)))
    calibration = calibrate(logits, watched)
    asked = np.linspace(-4, 8, 100).astype(np.float32)
    assert (np.diff(calibration.apply(asked)) > 0).all()
    assert calibration.apply(logits).sum() / watched.sum() == pytest.approx(1, abs=0.05)


def test_the_gradient_of_exact_odds_is_zero_at_the_mean_of_seconds():
    clicked = torch.tensor([True, False, False, True])
    watched = torch.tensor([40.0, 0, 0, 20])
    for objective, odds in [
        (Objective.WATCH_TIME, 60 / 4),
        (Objective.WATCH_TIME_PAPER, 60 / 2),
        (Objective.CLICK, 2 / 2),
    ]:
        logit = torch.tensor(float(np.log(odds)), requires_grad=True)
        measure_loss(logit.expand(4), clicked, watched, objective).sum().backward()
        assert logit.grad.item() == pytest.approx(0, abs=1e-5)


def test_what_few_people_tell_of_themselves_is_not_kept(tmp_path):
    told = [replace(one, region="here", device=f"device of {one.person_id}") for one in EVENTS]
    examples = RankingExamples.make(to_table(told), VIDEOS, end=END)
    assert examples.contents.vocabularies["region"].values == ("here",)
    assert examples.contents.vocabularies["device"].values == ()


def test_nothing_shown_and_nothing_clicked_are_named():
    with pytest.raises(UsageError, match="no impression has a time"):
        RankingExamples.make(to_table([]), VIDEOS)
    with pytest.raises(UsageError, match="clicked"):
        RankingExamples.make(to_table(draw_feeds(lambda *_: 0.0)), VIDEOS)


def test_serving_needs_no_torch():
    import subprocess
    import sys

    code = "import sys, twinlens.recommender.ranking_model; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
