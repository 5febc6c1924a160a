"""The published model, opened over the generation that is served, while requests go on."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from datetime import datetime
from typing import Final

from twinlens.catalog.errors import NoGeneration, StoreError, TwinLensError
from twinlens.recommender.candidate_model import LearnedSource
from twinlens.recommender.feed import FeedModel
from twinlens.recommender.models import ModelDirectory, RecommenderModel
from twinlens.recommender.ranking_model import WatchTimeRanker
from twinlens.recommender.videos import VideoTable
from twinlens.search.published import PublishedIndex, Snapshot

_LOOK_EVERY_S: Final = 1.0

_log = logging.getLogger(__name__)


class PublishedModel:
    """The model of ``models`` that is published, over the generation that ``index`` lends.

    Opening one reads every video, so that is done apart from requests: until it is open over a new
    generation they have the one before, whose videos are the old ones. One that can't be used is
    logged, and the one before goes on.
    """

    def __init__(self, models: ModelDirectory, index: PublishedIndex) -> None:
        self._models = models
        self._index = index
        self._seen: tuple[str | None, str] | None = None
        self._held: FeedModel | None = None
        self._error: TwinLensError | None = None
        self._closing = threading.Event()

    def __call__(self, snapshot: Snapshot) -> FeedModel | None:
        """Return the open model, or None where none is published.

        Raises:
            StoreError: there is one that can't be used, and none was open before.
        """
        if self._held is None and self._error is not None:
            raise self._error
        return self._held

    def refresh(self) -> None:
        """Open the published model if another was published, or another generation.

        Raises:
            TwinLensError: no generation is open, or its engine fails.
        """
        with self._index.borrow() as snapshot:
            try:
                name = self._models.read_current()
            except StoreError as error:
                self._note(error)
                return
            if (name, snapshot.generation) == self._seen:
                return
            self._seen = name, snapshot.generation
            if name is None:
                self._held = self._error = None
                return
            try:
                self._held = self._open(name, snapshot)
            except TwinLensError as error:
                self._note(error)
            else:
                self._error = None
                _log.info("model %s makes feeds of generation %s", name, snapshot.generation)

    def follow(self) -> None:
        """Refresh every second, in a thread of its own, until ``close``."""
        threading.Thread(target=self._keep_looking, name="follow-model", daemon=True).start()

    def close(self) -> None:
        """Look no more."""
        self._closing.set()

    def _open(self, name: str, snapshot: Snapshot) -> FeedModel:
        model = RecommenderModel.load(self._models.locate(name))
        made_by = {lens: of.fingerprint for lens, of in snapshot.manifest.lenses.items()}
        if differing := model.record.list_differences(made_by):
            raise StoreError(
                f"model {name} learned from vectors of other lenses than generation "
                f"{snapshot.generation} has ({', '.join(differing)}): train it again"
            )
        videos = VideoTable.read(snapshot.reader)
        ranking = model.ranking
        return FeedModel(
            name=name,
            trained_at=datetime.fromisoformat(model.record.created_at),
            source=LearnedSource(model.candidates, videos),
            ranker=None if ranking is None else WatchTimeRanker(ranking, videos),
        )

    def _note(self, error: TwinLensError) -> None:
        if str(error) != str(self._error):
            then = "feeds have none" if self._held is None else f"{self._held.name} goes on"
            _log.error("the published model can't be used, and %s: %s", then, error)
        self._error = error

    def _keep_looking(self) -> None:
        while not self._closing.wait(_LOOK_EVERY_S):
            with suppress(NoGeneration, StoreError):  # as every request is told
                self.refresh()
