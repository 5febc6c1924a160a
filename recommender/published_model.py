"""Hold the published model open over the published generation, and follow both."""

from __future__ import annotations

import gc
import logging
import threading
from contextlib import suppress
from datetime import datetime
from typing import Final

from twinlens.catalog.errors import StoreError, TwinLensError
from twinlens.recommender.feed import FeedModel
from twinlens.recommender.models import ModelDirectory, RecommenderModel, read_evaluation
from twinlens.search.published import PublishedIndex, Snapshot

_LOOK_EVERY_S: Final = 1.0

_log = logging.getLogger(__name__)


class PublishedModel:
    """Opens the published model, and again when another model or generation is published.

    To place all videos of a generation takes a model seconds, for which no request waits once this
    follows: feeds go on by the model before. A model that can't be used is logged, and not tried
    again; the one before serves on.
    """

    def __init__(self, models: ModelDirectory) -> None:
        self._models = models
        self._opening = threading.Lock()
        self._model: FeedModel | None = None
        self._error: TwinLensError | None = None
        self._tried: tuple[str, str | None] | None = None
        self._followed = False
        self._closing = threading.Event()

    def __call__(self, snapshot: Snapshot) -> FeedModel | None:
        """See ``OpenModel``."""
        if not self._followed:
            self.refresh(snapshot)
        if self._model is None and self._error is not None:
            raise self._error
        return self._model

    def refresh(self, snapshot: Snapshot) -> None:
        """Open what is published now over ``snapshot``, unless it is open or has failed."""
        with self._opening:
            name = None
            try:
                name = self._models.read_current()
                if self._tried == (snapshot.generation, name):
                    return
                self._model = None if name is None else self._open(snapshot, name)
                self._error = None
            except Exception as error:  # noqa: BLE001 - whatever it is, the model before serves on
                if self._error is None or str(self._error) != str(error):
                    _log.error("the published model can't be used: %s", error)
                if not isinstance(error, TwinLensError):
                    error = StoreError(f"the published model can't be used: {error}")
                self._error = error
            self._tried = snapshot.generation, name

    def follow(self, index: PublishedIndex) -> None:
        """Look every second for what was published, in a thread of its own, until ``close``."""
        self._followed = True
        threading.Thread(
            target=self._keep_looking, args=(index,), name="follow-model", daemon=True
        ).start()

    def close(self) -> None:
        """Follow no more."""
        self._closing.set()

    def _keep_looking(self, index: PublishedIndex) -> None:
        while True:
            with suppress(TwinLensError), index.borrow() as snapshot:  # else none is open yet
                self.refresh(snapshot)
            if self._closing.wait(_LOOK_EVERY_S):
                return

    def _open(self, snapshot: Snapshot, name: str) -> FeedModel:
        # FAISS and what else a model takes: a server without one needs none of it.
        from twinlens.recommender.candidate_model import LearnedSource
        from twinlens.recommender.ranking_model import WatchTimeRanker
        from twinlens.recommender.videos import VideoTable

        model = RecommenderModel.load(self._models.locate(name))
        lenses = {lens: record.fingerprint for lens, record in snapshot.manifest.lenses.items()}
        if differing := model.record.list_differences(lenses):
            raise StoreError(
                f"the model {name} was trained on vectors of other lenses: {', '.join(differing)}"
            )
        videos, ranking = VideoTable.read(snapshot.reader), model.ranking
        opened = FeedModel(
            name=name,
            generation=snapshot.generation,
            trained_at=datetime.fromisoformat(model.record.created_at),
            source=LearnedSource(model.candidates, videos),
            ranker=None if ranking is None else WatchTimeRanker(ranking, videos),
            log=model.record.log,
            evaluation=read_evaluation(self._models.locate(name)),
        )
        gc.freeze()  # millions of texts that stay: looking through them takes a feed's time
        _log.info("feeds are made by the model %s", name)
        return opened
