"""The model that makes feeds: the published one, over the published generation."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.recommender.drawn_events import watch
from tests.recommender.library import VIDEOS, open_library, train_library_model
from twinlens.catalog.errors import StoreCorrupt, StoreError
from twinlens.events.sqlite_log import EVENTS_FILE, SqliteEventLog
from twinlens.recommender.models import ModelDirectory
from twinlens.recommender.pages import Fallback, FeedPage, FeedRequest, Feeds
from twinlens.recommender.published_model import PublishedModel
from twinlens.search.published import Snapshot

LIBRARY = open_library()
LENSES = {name: one.fingerprint for name, one in LIBRARY.manifest.lenses.items()}


@pytest.fixture
def models(tmp_path: Path) -> ModelDirectory:
    return ModelDirectory(tmp_path)


def publish(models: ModelDirectory, lenses: dict[str, str] = LENSES) -> str:
    name = models.keep(
        train_library_model().save, generation="g1", lenses=lenses, log={}, training={}
    )
    models.publish(name)
    return name


@pytest.fixture
def ask(models: ModelDirectory, tmp_path: Path) -> Callable[[Snapshot], FeedPage]:
    opened = PublishedModel(models)
    events = [watch("", "cricket-5")]

    def make(library: Snapshot = LIBRARY) -> FeedPage:
        with closing(SqliteEventLog(tmp_path / EVENTS_FILE)) as log:
            feeds = Feeds(log=log, open_model=opened)
            return feeds.answer(library, FeedRequest(events=events, explain=True))

    return make


def uses_model(page: FeedPage) -> bool:
    return any("learned" in one.place.sources for one in page.hits)


def test_a_model_is_used_from_the_moment_that_it_is_published(models, ask):
    before = ask()
    assert Fallback.NO_MODEL in before.fallback
    assert not uses_model(before)
    first = publish(models)
    page = ask()
    assert (page.model, uses_model(page)) == (first, True)
    assert Fallback.NO_MODEL not in page.fallback
    second = publish(models)
    assert ask().model == second
    models.roll_back()
    assert ask().model == first


def test_a_new_video_of_a_new_generation_is_found_without_training(models, ask):
    publish(models)
    assert uses_model(ask())
    found = ask(open_library(VIDEOS[:30], generation="g2"))
    assert uses_model(found)
    known = {one.video_id for one in VIDEOS[:30]}
    assert {one.video.video_id for one in found.hits} <= known


def test_a_damaged_model_is_told_and_the_one_before_serves_on(models, ask, caplog):
    first = publish(models)
    assert ask().model == first
    second = models.keep(
        train_library_model().save, generation="g1", lenses=LENSES, log={}, training={}
    )
    (models.locate(second) / "candidate.json").write_text("{}", encoding="utf-8")
    models.current_file.write_text(second, encoding="utf-8")
    assert [ask().model for _ in range(3)] == [first] * 3
    assert caplog.text.count("is damaged") == 1


def test_without_one_before_a_damaged_model_is_a_feed_without_a_model(models, ask):
    name = publish(models)
    (models.locate(name) / "candidate.json").write_text("{}", encoding="utf-8")
    page = ask()
    assert page.fallback[0] is Fallback.DAMAGED_MODEL
    assert len(page.hits) == 20
    with pytest.raises(StoreCorrupt, match="damaged"):
        PublishedModel(models)(LIBRARY)


def test_a_model_of_other_lenses_is_not_used(models, ask):
    publish(models, {"title": "another encoder"})
    assert ask().fallback[0] is Fallback.DAMAGED_MODEL
    with pytest.raises(StoreError, match="other lenses: title"):
        PublishedModel(models)(LIBRARY)
