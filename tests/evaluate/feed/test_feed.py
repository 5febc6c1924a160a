"""Figures of a feed: full rankings, baselines by hand, and the command."""

import inspect
import json

import ir_measures
import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from tests.recommender.drawn_log import draw_events, draw_videos, to_table
from twinlens.catalog.errors import UsageError
from twinlens.cli import main
from twinlens.evaluate.feed import protocols
from twinlens.evaluate.feed.baselines import BASELINES
from twinlens.evaluate.feed.learned import ABLATIONS, FUSED, measure_learned
from twinlens.evaluate.feed.protocols import LEARNED, ask, compare, measure, measure_baselines
from twinlens.recommender.candidate_training import TrainingOptions
from twinlens.recommender.examples import find_first_views, measure_gain, rank_labels
from twinlens.recommender.interactions import Interactions

OPTIONS = TrainingOptions(epochs=1, dim=8, hidden=(8,), negatives=32, learning_rate=0.02)


@pytest.fixture(scope="module")
def videos():
    return draw_videos()


def read(videos, **how):
    return Interactions.from_events(to_table(draw_events(**how)), videos)


@pytest.fixture(scope="module")
def known(videos):
    return read(videos)


def test_the_figures_are_those_of_ir_measures(known, videos):
    [question] = ask("next-watch", known, len(videos))
    scores = np.random.default_rng(0).permuted(
        np.tile(np.arange(len(videos), dtype=np.float32), (len(known), 1)), axis=1
    )
    found = measure(question, lambda labels: scores[labels], len(videos))
    qrels, run = {}, {}
    for label in question.labels:
        first = known.starts[known.persons[label]]
        seen = set(known.videos[first:label].tolist())
        qrels[str(label)] = {str(known.videos[label]): 1}
        run[str(label)] = {
            str(row): float(scores[label, row]) for row in range(len(videos)) if row not in seen
        }
    for ours, theirs in (("HR@10", "R@10"), ("nDCG@10", "nDCG@10")):
        one = ir_measures.parse_measure(theirs)
        assert found[ours].mean() == pytest.approx(
            ir_measures.calc_aggregate([one], qrels, run)[one]
        )


def test_a_rank_counts_all_videos_and_ties_by_row(known, videos):
    label = known.starts[1:2] - 1
    own = int(known.videos[label[0]])

    def rank(scores, **how):
        row = np.array(scores, dtype=np.float32)[None]
        return rank_labels(lambda _: row, known, label, len(videos), **how)[0]

    assert rank(np.zeros(len(videos)), leave_out_seen=False) == own
    best = np.zeros(len(videos))
    best[own] = 1
    assert rank(best) == 0
    assert rank(-best, leave_out_seen=False) == len(videos) - 1
    assert rank(-best) == len(videos) - 12  # eleven were seen before
    assert measure_gain(np.array([0, 2, 10]), 10).tolist() == [1, 0.5, 0]


def test_no_measure_draws_videos():
    for function in (measure, rank_labels):
        assert "rng" not in inspect.getsource(function)
        assert "random" not in inspect.getsource(function)


def test_the_last_watch_and_the_last_day_are_never_learned_from(known, videos):
    [watch] = ask("next-watch", known, len(videos))
    assert len(watch.past) == len(known) - len(watch.labels)
    [day] = ask("next-day", known, len(videos), days=1)
    assert day.past.times.max() < day.asked.times[day.labels].min()
    assert find_first_views(known)[day.labels].all()
    assert len(np.unique(known.persons[day.labels])) == len(day.labels)


def test_new_videos_are_in_nothing_that_is_told_or_learned(known, videos, monkeypatch):
    monkeypatch.setattr(protocols, "NEW_VIDEOS", 8)
    [question] = ask("new-videos", known, len(videos))
    new = np.flatnonzero(question.among)
    assert len(new) == 8
    assert not np.isin(question.past.videos, new).any()
    others = np.delete(np.arange(len(question.asked)), question.labels)
    assert not np.isin(question.asked.videos[others], new).any()
    assert np.isin(question.asked.videos[question.labels], new).all()
    found = measure_baselines(question, videos, ["popular"])
    assert {"HR@10 among new", "HR@50 among new"} < found["popular"].keys()
    assert protocols.CONTENT in found


def test_half_is_found_by_what_others_watched(known, videos):
    questions = ask("halves", known, len(videos))
    judged = [known.persons[0:0]]
    for question in questions:
        persons = question.asked.persons[question.labels]
        judged.append(persons)
        assert not np.isin(question.past.persons, persons).any()
        for label, sought in zip(question.labels, question.sought, strict=True):
            first = question.asked.starts[question.asked.persons[label]]
            told = question.asked.videos[first:label]
            assert not np.isin(told, sought).any()
            everything = np.unique(known.videos[known.persons == question.asked.persons[label]])
            assert set(told) | set(sought) == set(everything)
    assert len(np.unique(np.concatenate(judged))) == sum(len(one.labels) for one in questions)
    question = questions[0]
    best = np.zeros((len(question.labels), len(videos)), dtype=np.float32)
    for row, sought in enumerate(question.sought):
        best[row, sought] = 1
    place = {label: row for row, label in enumerate(question.labels)}
    found = measure(question, lambda labels: best[[place[one] for one in labels]], len(videos))
    assert found["nDCG@20"] == pytest.approx(1)
    assert (found["R@20"] == 1).all()


def test_a_log_that_cannot_answer_is_refused(videos):
    with pytest.raises(UsageError, match="no times"):
        ask("next-day", read(videos, timed=False), len(videos))
    with pytest.raises(UsageError, match="the log has 40 in all"):
        ask("new-videos", read(videos), len(videos))
    with pytest.raises(UsageError, match="nothing is left"):
        ask("next-watch", read(videos, watches=2), len(videos))
    with pytest.raises(UsageError, match="fewer than 5 people watched 10"):
        ask("halves", read(videos, watches=2), len(videos))


def test_baselines_know_what_followed_and_what_is_popular(known, videos):
    [question] = ask("next-watch", known, len(videos))
    found = measure_baselines(question, videos)
    assert found.keys() == BASELINES.keys()
    assert found["what followed, 3 steps"]["HR@10"].mean() > 0.9
    scores = BASELINES["popular"](question.past, question.asked, len(videos))(question.labels)
    counts = np.bincount(question.past.videos, minlength=len(videos))
    assert (scores == counts).all()


def test_ease_is_the_closed_form(known, videos):
    [question] = ask("next-watch", known, len(videos))
    scores = BASELINES["EASE"](question.past, question.asked, len(videos))(question.labels)
    matrix = np.zeros((len(known.person_ids), len(videos)))
    matrix[question.past.persons, question.past.videos] = 1
    inverse = np.linalg.inv(matrix.T @ matrix + 500 * np.eye(len(videos)))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    assert np.allclose(scores, (matrix @ weights)[known.persons[question.labels]], atol=1e-5)


@pytest.mark.parametrize("ablation", [None, *ABLATIONS])
def test_each_input_can_be_left_out(known, videos, ablation):
    [question] = ask("next-watch", known, len(videos))
    found, trained = measure_learned(question, videos, OPTIONS, ablation=ablation)
    assert len(found["HR@50"]) == len(question.labels)
    words, content = trained.people.words, trained.content
    assert bool(words) == (ablation != "without searches")
    assert content.is_empty == (ablation == "without content")
    assert (trained.people.latest is None) == (ablation == "without example age")


def test_differences_are_paired(known, videos):
    [question] = ask("next-watch", known, len(videos))
    found = measure_baselines(question, videos, ["popular"])
    rows = compare(found | {LEARNED: {name: of + 0.25 for name, of in found["popular"].items()}})
    assert rows[0].learned_above["HR@10"] == pytest.approx((0.25, 0.25, 0.25))


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "events.parquet"
    pq.write_table(to_table(draw_events(people=20)), path)
    return path


def test_the_command_writes_figures_and_a_picture(log, tmp_path):
    out, picture = tmp_path / "feed.json", tmp_path / "feed.png"
    arguments = ["evaluate", "feed", str(log), "--epochs", "1", "--json", str(out)]
    done = CliRunner().invoke(main, [*arguments, "--plot", str(picture)])
    assert done.exit_code == 0, done.output
    assert "learned above (paired)" in done.output
    told = json.loads(out.read_text())
    assert [row["name"] for row in told["rows"]] == [*BASELINES, LEARNED, FUSED]
    assert told["people"] == 20
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_log_that_is_none_is_refused(tmp_path, log):
    path = tmp_path / "other.txt"
    path.write_text("nothing")
    done = CliRunner().invoke(main, ["evaluate", "feed", str(path)])
    assert (done.exit_code, "other.txt" in done.output) == (2, True)
    done = CliRunner().invoke(main, ["evaluate", "feed", str(log), "--map", "nonsense"])
    assert (done.exit_code, "no mapping 'nonsense'" in done.output) == (2, True)


def test_an_empty_log_is_refused(tmp_path):
    path = tmp_path / "empty.parquet"
    pq.write_table(to_table([]), path)
    done = CliRunner().invoke(main, ["evaluate", "feed", str(path)])
    assert done.exit_code == 2
    assert "no completed watch" in done.output
