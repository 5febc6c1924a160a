"""``twinlens train-recommender`` and ``twinlens models`` as they are typed."""

import json
from contextlib import closing

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from tests.fakes import ColourEncoder, WordEncoder
from tests.recommender.drawn_log import draw_events, to_table
from twinlens.catalog.sources import Origin, RejectsFile, Row
from twinlens.catalog.video import Video
from twinlens.cli import main
from twinlens.encoders.lenses import make_own_lenses
from twinlens.events.opening import open_event_log
from twinlens.indexer.job import IndexJob, JobOptions
from twinlens.recommender.models import ModelDirectory, read_evaluation
from twinlens.stores.engines import EmbeddedEngine
from twinlens.stores.generations import DataDir


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    data = DataDir(tmp_path_factory.mktemp("index") / "data")
    rows = (
        Row(Origin("drawn", at), Video(video_id=f"v{at}", title=f"kind{at % 2} number{at}"))
        for at in range(40)
    )
    lenses = make_own_lenses(WordEncoder(), ColourEncoder())
    job = IndexJob(data, EmbeddedEngine(data), lenses, JobOptions(source_name="drawn"))
    job.run(rows, RejectsFile(data.path / "rejects.jsonl"))
    return data.path


@pytest.fixture
def log(tmp_path):
    return write(tmp_path / "events.parquet", draw_events())


def write(path, events):
    pq.write_table(to_table(events), path)
    return str(path)


def run(*arguments):
    return CliRunner().invoke(main, list(arguments))


def train(log, data, *more):
    options = ("--epochs", "1", "--dim", "8", "--hidden", "16,8")
    return run("train-recommender", log, "--data-dir", str(data), *options, *more)


def test_a_model_that_is_no_better_than_counting_is_kept_and_not_published(index, log):
    # In this log the next video is certain to whoever counts.
    done = train(log, index)
    assert done.exit_code == 1
    assert "it is no better than what followed, 3 steps" in done.output.replace("popular and ", "")
    models = ModelDirectory(index)
    kept = models.list()[-1]
    assert models.read_current() is None
    assert not models.training.exists() or not [*models.training.iterdir()]
    told = json.loads((models.locate(kept) / "evaluation.json").read_text())
    assert [row["name"] for row in told["rows"]] == ["popular", "what followed, 3 steps", "learned"]

    forced = train(log, index, "--force")
    assert forced.exit_code == 0, forced.output
    current = models.read_current()
    assert current not in (None, kept)
    model = models.open_current()
    assert model is not None
    assert set(model.record.lenses) == {"title"}
    judged = read_evaluation(models.locate(model.record.name))
    assert judged is not None
    assert (judged.protocol, set(judged.figures)) == (
        "next-day",
        {"popular", "what followed, 3 steps", "learned"},
    )

    where = ("--data-dir", str(index))
    assert run("models", "publish", kept, *where).exit_code == 0
    listed = run("models", "list", *where).output
    assert f"{kept}  published" in listed
    assert f"{current}  kept" in listed
    assert run("models", "roll-back", *where).exit_code == 2
    assert run("models", "publish", "nonsense", *where).exit_code == 2


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([], "no completed watch"),
        (draw_events(people=1), "one person's"),
        ([event for event in draw_events() if event.type == "search"], "no completed watch"),
    ],
)
def test_what_is_missing_is_named(index, tmp_path, events, message):
    done = train(write(tmp_path / "events.parquet", events), index)
    assert (done.exit_code, message in done.output) == (2, True), done.output


def test_without_a_catalogue_there_is_nothing_to_recommend(log, tmp_path):
    done = train(log, tmp_path / "empty")
    assert (done.exit_code, "no index in" in done.output) == (2, True)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--hidden", "64,x"), "widths of layers"),
        (("--pooling", "least"), "least"),
        (("--minutes", "0"), "minutes"),
    ],
)
def test_wrong_options_are_refused(index, log, more, message):
    done = run("train-recommender", log, "--data-dir", str(index), *more)
    assert (done.exit_code, message in done.output) == (2, True)


def test_what_is_no_parquet_is_refused(index, tmp_path):
    (tmp_path / "events.parquet").write_text("{}")
    done = train(str(tmp_path / "events.parquet"), index)
    assert (done.exit_code, "events.parquet" in done.output) == (2, True)


def test_the_sites_own_events_are_learned_from(index):
    with closing(open_event_log(index)) as log:
        log.append(draw_events())
    done = run("train-recommender", "--data-dir", str(index), "--epochs", "1", "--force")
    assert done.exit_code == 0, done.output
    model = ModelDirectory(index).open_current()
    assert model is not None
    assert model.record.log == {"watches": 720, "people": 60}
