"""Models on disk: published whole, three kept, a way back."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.recommender.drawn_log import draw_events, draw_videos, to_table
from twinlens.catalog.errors import IndexLocked, StoreCorrupt, StoreError, UsageError
from twinlens.recommender.candidate_training import TrainingOptions, export_model, train_candidates
from twinlens.recommender.interactions import Interactions
from twinlens.recommender.models import ModelDirectory, RecommenderModel, read_record


@pytest.fixture(scope="module")
def fill():
    videos = draw_videos()
    known = Interactions.from_events(to_table(draw_events(people=6)), videos)
    options = TrainingOptions(epochs=1, dim=4, hidden=(), negatives=8)
    return export_model(train_candidates(known, videos, options), videos).save


@pytest.fixture
def models(tmp_path):
    return ModelDirectory(tmp_path)


def keep(models, fill):
    return models.keep(fill, generation="g", lenses={"title": "f"}, log={"watches": 7}, training={})


def test_a_published_model_is_opened_whole(models, fill):
    assert (models.read_current(), models.open_current(), models.list()) == (None, None, [])
    name = keep(models, fill)
    assert models.read_current() is None
    models.publish(name)
    model = models.open_current()
    assert model is not None
    assert (model.record.name, model.record.log, model.ranking) == (name, {"watches": 7}, None)
    assert model.record.list_differences({"title": "f"}) == []
    assert model.record.list_differences({"title": "other"}) == ["title"]


def test_three_are_kept_and_the_way_back_is_among_them(models, fill):
    first = keep(models, fill)
    models.publish(first)
    second = keep(models, fill)
    models.publish(second)
    names = [keep(models, fill) for _ in range(3)]
    assert models.list() == [first, second, names[-1]]
    assert models.roll_back() == first
    assert models.read_current() == first
    with pytest.raises(UsageError, match="no earlier model"):
        models.roll_back()


def test_a_damaged_model_is_refused_and_passed_over(models, fill):
    for _ in range(3):
        models.publish(keep(models, fill))
    oldest, damaged, current = models.list()
    (models.locate(damaged) / "candidate.json").write_text("{}")
    with pytest.raises(StoreCorrupt, match=r"is damaged: candidate\.json"):
        RecommenderModel.load(models.locate(damaged))
    with pytest.raises(StoreError):
        models.publish(damaged)
    assert models.read_current() == current
    assert models.roll_back() == oldest


def test_what_is_no_model_is_refused_by_a_sentence(models, fill):
    name = keep(models, fill)
    with pytest.raises(UsageError, match="there is no model nonsense"):
        models.publish("nonsense")
    file = models.locate(name) / "model.json"
    newer = json.loads(file.read_text()) | {"format": 99}
    for text in ("", "[]", "{}", json.dumps(newer)):
        file.write_text(text)
        with pytest.raises(StoreError):
            read_record(models.locate(name))
    models.current_file.write_text("../../etc\n")
    with pytest.raises(StoreCorrupt, match="does not name a model"):
        models.read_current()


def test_a_model_that_could_not_be_written_leaves_nothing(models, fill):
    def fail(folder):
        fill(folder)
        raise OSError("full")

    with pytest.raises(OSError, match="full"):
        keep(models, fail)
    assert models.list() == []


def test_what_a_kill_has_left_is_no_model_and_goes_with_the_next(models, fill):
    first, half = keep(models, fill), keep(models, fill)
    (models.locate(half) / "model.json").unlink()
    models.locate(f"{half}.new").mkdir()
    (models.path / "notes").mkdir()
    assert models.list() == [first]
    second = keep(models, fill)
    assert {one.name for one in models.path.iterdir()} == {first, second, "notes"}


def test_one_process_trains_at_a_time(models):
    with models.hold_lock(), pytest.raises(IndexLocked, match="is training"):  # noqa: SIM117
        with models.hold_lock():
            pass


_PUBLISH = """
import sys
from pathlib import Path
from twinlens.recommender.models import ModelDirectory, RecommenderModel
models = ModelDirectory(Path(sys.argv[1]))
model = RecommenderModel.load(models.locate(models.read_current()))
print("ready", flush=True)
while True:
    models.publish(models.keep(
        model.candidates.save, generation=None, lenses={}, log={}, training={}))
    print("published", flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("after", range(5))
def test_a_kill_while_publishing_leaves_a_whole_model(models, fill, tmp_path, after):
    models.publish(keep(models, fill))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", _PUBLISH, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for _ in range(1 + after):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert models.open_current() is not None
    for name in models.list():
        RecommenderModel.load(models.locate(name))
    keep(models, fill)
