"""The candidate network, trained and served."""

from collections import Counter
from dataclasses import replace

import faiss
import numpy as np
import pytest
import torch

from tests.recommender.drawn_log import START, draw_events, draw_videos, to_table
from twinlens.catalog.errors import StoreCorrupt, UsageError
from twinlens.events.event import Event, EventType
from twinlens.recommender import candidate_training
from twinlens.recommender.candidate_model import CandidateModel, LearnedSource
from twinlens.recommender.candidate_training import (
    TrainingOptions,
    export_model,
    make_scorer,
    train_candidates,
)
from twinlens.recommender.candidates import FeedQuery
from twinlens.recommender.co_watching_counts import count_co_watching
from twinlens.recommender.examples import MOST_POSITIONS, draw_examples, hold_out, hold_out_last
from twinlens.recommender.interactions import Interactions
from twinlens.recommender.person import Context, Person
from twinlens.recommender.person_inputs import PersonEncoder
from twinlens.recommender.pooling import POOLINGS
from twinlens.stores.filters import AnyOf

OPTIONS = TrainingOptions(
    epochs=8,
    batch_size=64,
    negatives=64,
    dim=16,
    hidden=(32,),
    learning_rate=0.01,
    table_learning_rate=0.03,
)


@pytest.fixture(scope="module")
def videos():
    return draw_videos()


@pytest.fixture(scope="module")
def known(videos):
    return Interactions.from_events(to_table(draw_events()), videos)


@pytest.fixture(scope="module")
def trained(known, videos):
    return train_candidates(known, videos, OPTIONS)


@pytest.fixture(scope="module")
def model(trained, videos):
    return export_model(trained, videos)


def read_weights(trained):
    return {name: of.numpy() for name, of in trained.network.state_dict().items()}


def test_it_learns_what_is_watched_next(trained, known, videos):
    scores = make_scorer(trained.network, PersonEncoder(known, trained.people), trained.tables)
    labels = hold_out_last(known).held_out
    ranks = candidate_training.rank_labels(scores, known, labels, len(videos))
    # Of the 29 that are left nine are of a person's kind.
    assert np.mean(ranks < 9) > 0.9
    assert np.mean(ranks < 5) > 0.5


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("hidden", [(), (32, 16)])
def test_served_by_numpy_it_says_what_torch_says(known, videos, pooling, hidden):
    options = replace(OPTIONS, epochs=1, pooling=pooling, hidden=hidden)
    trained = train_candidates(known, videos, options)
    model = export_model(trained, videos)
    labels = np.arange(0, len(known), 7)  # the first of them has no history
    inputs = PersonEncoder(known, trained.people).encode(labels)
    with torch.no_grad():
        expected = trained.network.embed_people(inputs).numpy()
    assert np.abs(model.embed_people(inputs, model.history) - expected).max() < 1e-5


def test_content_served_by_numpy_is_what_torch_makes_of_it(trained, model, videos):
    rows = np.arange(len(videos))
    made = model.embed_content(model.content.encode(videos), rows)
    with torch.no_grad():
        none = torch.zeros((len(rows), 1))
        history = trained.network.embed_history(rows, none).numpy()
        output = trained.network.embed_output(rows, none).numpy()
    assert np.abs(made.history - history).max() < 1e-5
    assert np.abs(made.output - output).max() < 1e-5


def test_the_same_seed_and_log_make_the_same_files(known, videos, tmp_path, trained):
    again = train_candidates(known, videos, OPTIONS)
    for name, of in (("one", trained), ("two", again)):
        (tmp_path / name).mkdir()
        export_model(of, videos).save(tmp_path / name)
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()


class Killed(BaseException):
    pass


@pytest.mark.parametrize("after", [1, 7, 23])
def test_a_run_that_was_killed_goes_on_to_the_same_model(
    known, videos, tmp_path, trained, monkeypatch, after
):
    monkeypatch.setattr(candidate_training, "_SAVE_EVERY_S", 0.0)

    def kill(step, total, told):
        if step == after:
            raise Killed

    with pytest.raises(Killed):
        train_candidates(known, videos, OPTIONS, folder=tmp_path, on_step=kill)
    steps = []
    again = train_candidates(
        known, videos, OPTIONS, folder=tmp_path, on_step=lambda *of: steps.append(of[0])
    )
    assert steps[0] >= after
    for name, of in read_weights(trained).items():
        assert (read_weights(again)[name] == of).all(), name
    assert not [*tmp_path.iterdir()]


def test_a_checkpoint_of_another_log_is_refused(known, videos, tmp_path, monkeypatch):
    monkeypatch.setattr(candidate_training, "_SAVE_EVERY_S", 0.0)

    def kill(step, total, told):
        if step == 2:
            raise Killed

    with pytest.raises(Killed):
        train_candidates(known, videos, OPTIONS, folder=tmp_path, on_step=kill)
    with pytest.raises(UsageError, match="another log"):
        train_candidates(known.keep(known.videos != 3), videos, OPTIONS, folder=tmp_path)


def test_time_ends_training(known, videos):
    trained = train_candidates(known, videos, replace(OPTIONS, epochs=500, minutes=0.001))
    assert 1 <= len(trained.history) < 500


def test_people_weigh_the_same_however_much_they_watch(videos):
    events = draw_events(people=9, watches=8)
    busy = [
        Event(type=EventType.WATCH, event_id=f"b{at}", person_id="busy", at=START, video_id="v1")
        for at in range(1000)
    ]
    known = Interactions.from_events(to_table([*events, *busy]), videos)
    labels, weights = draw_examples(known, np.ones(len(known), bool), np.random.default_rng(0))
    by_person = np.bincount(known.persons[labels], weights)
    assert by_person == pytest.approx(np.full(10, by_person[0]), rel=1e-5)
    assert Counter(known.persons[labels].tolist()).most_common(1)[0][1] == MOST_POSITIONS
    assert weights.mean() == pytest.approx(1)


def test_without_times_the_last_watch_is_held_out_and_there_is_no_example_age(videos):
    known = Interactions.from_events(to_table(draw_events(timed=False)), videos)
    split = hold_out(known)
    assert split.held_out.tolist() == (known.starts[1:] - 1).tolist()
    trained = train_candidates(known, videos, replace(OPTIONS, epochs=1))
    inputs = PersonEncoder(known, trained.people).encode(np.arange(len(known)))
    assert trained.people.latest is None
    assert not inputs.reals[:, 4:8].any()


def test_with_times_the_last_day_is_held_out(known):
    split = hold_out(known)
    start = known.times.max() - 86_400
    assert (known.times[split.held_out] >= start).all()
    assert (known.times[split.trained] < start).all()


def test_the_example_age_falls_to_nothing_at_the_latest_watch(known, trained):
    inputs = PersonEncoder(known, trained.people).encode(np.arange(len(known)))
    ages = inputs.reals[:, 4]
    assert ages[known.times.argmax()] == 0
    assert ages[known.times.argmin()] == 1
    assert (
        PersonEncoder(known, trained.people).encode(np.arange(9), example_days=0.0).reals[:, 4] == 0
    ).all()


def test_one_person_or_nobody_is_nothing_to_learn_from(videos):
    alone = Interactions.from_events(to_table(draw_events(people=1)), videos)
    with pytest.raises(UsageError, match="one person's"):
        train_candidates(alone, videos, OPTIONS)
    with pytest.raises(UsageError, match="no completed watch"):
        train_candidates(Interactions.from_events([], videos), videos, OPTIONS)


def test_people_of_one_watch_each_are_learned_from(videos):
    table = to_table(draw_events(watches=1))
    only = Interactions.from_events(table, videos)
    assert len(train_candidates(only, videos, replace(OPTIONS, epochs=1)).history) == 1


def test_a_video_that_nobody_watched_keeps_a_row_of_zeros(known):
    more = draw_videos(60)
    events = Interactions.from_events(to_table(draw_events()), more)
    trained = train_candidates(events, more, replace(OPTIONS, epochs=2))
    weights = read_weights(trained)
    assert not weights["history_rows.weight"][40:].any()
    assert not weights["output_rows.weight"][40:].any()
    assert weights["output_rows.weight"][:40].any(axis=1).all()


def find(source, limit=10, **query):
    query = {"person": Person(), "at": START} | query
    return source.find(FeedQuery(**query), limit=limit)


@pytest.mark.parametrize("kept", [40, 33])
@pytest.mark.parametrize("has_tables", [True, False])
def test_what_is_found_is_what_training_would_score_highest(
    trained, model, known, videos, kept, has_tables
):
    counted = count_co_watching(known, len(videos))
    trained = replace(trained, tables=counted if has_tables else counted.weigh({}))
    encoder = PersonEncoder(known, trained.people)
    labels = known.starts[1:6] - 1
    scores = make_scorer(trained.network, encoder, trained.tables)(labels)
    here = replace_ids(videos, {f"v{at}" for at in range(40 - kept)})
    source = LearnedSource(replace(model, tables=trained.tables), here)
    for label, expected in zip(labels, scores, strict=True):
        name = known.person_ids[known.persons[label]]
        events = [one for one in draw_events() if one.person_id == name]
        last = max(one.at for one in events)
        person = Person.from_events(one for one in events if one.at < last)
        context = Context(region=events[0].region)
        found = find(source, person=person, context=context)
        order = sorted(
            (row for row, one in enumerate(videos.video_ids) if one in here.rows),
            key=lambda row: -expected[row],
        )
        assert [one.video_id for one in found] == [videos.video_ids[row] for row in order[:10]]
        best = [expected[row] for row in order[:10]]
        assert [one.score for one in found] == pytest.approx(best, abs=2e-3)


def test_a_filter_finds_all_that_pass_and_nothing_excluded(model, videos):
    source = LearnedSource(model, videos)
    of_kind = AnyOf("channel", ("channel 1",))
    found = find(source, limit=100, filter=of_kind, exclude={"v1", "v3", "unknown"})
    assert {one.video_id for one in found} == {f"v{at}" for at in range(5, 40, 2)}
    assert find(source, filter=AnyOf("channel", ("none",))) == []
    assert len(find(source, limit=1000)) == len(videos)


def test_a_stranger_and_one_of_unknown_words_and_places_are_served(model, videos):
    source = LearnedSource(model, videos)
    strange = Person(
        searches=[Event(type=EventType.SEARCH, event_id="s", person_id="x", at=START, text="?!")],
        watches=[Event(type=EventType.WATCH, event_id="w", person_id="x", at=START, video_id="?")],
    )
    context = Context(region="nowhere", device="none", language="xx", gender="?", age=200.0)
    assert len(find(source, person=strange, context=context)) == 10
    assert len(find(source)) == 10


def test_a_new_video_is_found_without_training_and_a_removed_one_never(model, known):
    source = LearnedSource(model, draw_videos(46))
    later = replace_ids(draw_videos(46), {"v0", "v1", "v2", "v3"})
    person = Person.from_events([e for e in draw_events() if e.person_id == "p001"])
    found = [one.video_id for one in find(source, limit=46, person=person)]
    new = [f"v{at}" for at in range(40, 46)]
    of_kind = [found.index(one) for one in new[1::2]]
    others = [found.index(one) for one in new[::2]]
    assert np.mean(of_kind) < np.mean(others)
    kept = {one.video_id for one in find(LearnedSource(model, later), limit=99, person=person)}
    assert kept == set(later.video_ids)


def replace_ids(videos, removed):
    """The catalogue without some videos: what is left has other rows."""
    kept = [row for row, one in enumerate(videos.video_ids) if one not in removed]
    table = {lens: of[kept] for lens, of in videos.vectors.items()}
    ids = [videos.video_ids[row] for row in kept]
    return replace(videos, video_ids=ids, vectors=table, columns={})


def test_beside_a_video_it_is_as_if_that_had_been_watched(model, videos):
    source = LearnedSource(model, videos)
    watched = Person(
        watches=[Event(type=EventType.WATCH, event_id="w", person_id="x", at=START, video_id="v7")]
    )
    beside = find(source, limit=5, seed_video_id="v7")
    assert [one.video_id for one in beside] == [
        one.video_id for one in find(source, limit=6, person=watched) if one.video_id != "v7"
    ][:5]


def watched(*video_ids):
    return [
        Event(type=EventType.WATCH, event_id=one, person_id="x", at=START, video_id=one)
        for one in video_ids
    ]


def test_because_names_the_watches_without_which_it_would_be_wanted_less(model, videos):
    source = LearnedSource(model, videos)
    query = FeedQuery(person=Person(watches=watched("v2", "v7", "gone", "v4")), at=START)
    because = source.explain(query, ["v9", "v11", "v6", "unknown"])
    assert set(because) == {"v9", "v11", "v6"}
    assert [because["v9"][0], because["v11"][0]] == ["v7", "v7"]
    assert "v7" not in because["v6"]
    beside = replace(query, person=Person(), seed_video_id="v7")
    assert source.explain(beside, ["v9"]) == {"v9": ["v7"]}
    assert source.explain(replace(query, person=Person()), ["v9"]) == {}


def test_for_each_seed_is_found_what_is_found_for_who_watched_it_alone(model, videos):
    source = LearnedSource(model, videos)
    found = source.find_like(["v2", "v7", "unknown"], limit=5, filter=None, exclude={"v9"})
    assert list(found["unknown"]) == []
    for seed in ("v2", "v7"):
        alone = find(source, limit=5, person=Person(watches=watched(seed)), exclude={"v9"})
        assert [one.video_id for one in found[seed]] == [one.video_id for one in alone]
    nothing = source.find_like(["unknown"], limit=5, filter=None, exclude=set())
    assert nothing == {"unknown": ()}


@pytest.mark.parametrize("name", ["candidate.safetensors", "candidate.json"])
def test_a_damaged_file_is_refused_by_a_sentence(model, tmp_path, name):
    model.save(tmp_path)
    assert (CandidateModel.load(tmp_path).output == model.output).all()
    content = (tmp_path / name).read_bytes()
    for damaged in (content[: len(content) // 2], b"{}", b""):
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(StoreCorrupt, match="can't be read"):
            CandidateModel.load(tmp_path)


def test_vectors_lie_in_half_precision(model, videos):
    index = LearnedSource(model, videos)._index
    assert index.sa_code_size() == 2 * (model.dim + -model.dim % 8)
    assert isinstance(index, faiss.IndexScalarQuantizer)
