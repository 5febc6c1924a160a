"""The routes under ``/api/v1``."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from flask import Blueprint, Response, g, request
from pydantic import BaseModel

from twinlens.backend.metrics import add_stages, timed_stage
from twinlens.backend.parsing import (
    browse_from_query,
    multi_search_from_body,
    no_parameters,
    recommendations_from_body,
    search_from_body,
    search_from_query,
    similar_from_query,
    thumbnail_width_from_query,
)
from twinlens.backend.problems import (
    SEARCH_ERRORS,
    Code,
    Problem,
    as_problem,
    shortened,
)
from twinlens.backend.schemas.answers import SearchAnswer, StatsAnswer, VideoAnswer, VideoBody
from twinlens.backend.schemas.assembly import (
    fused_answer_json,
    multi_search_answer_json,
    search_answer,
    search_answer_json,
)
from twinlens.backend.schemas.base import API_ROOT
from twinlens.backend.schemas.browse import browse_answer_json
from twinlens.backend.schemas.fitting import fit
from twinlens.backend.schemas.requests import PageBody, SearchBody
from twinlens.backend.thumbnails import Thumbnails
from twinlens.catalog.fields import Fields
from twinlens.catalog.timing import StageTimes
from twinlens.catalog.video import payload_thumbnail_file
from twinlens.search.budget import TimeBudget
from twinlens.search.published import PublishedIndex
from twinlens.search.request import (
    HitsRequest,
    MultiSearchRequest,
    RecommendationRequest,
    SearchRequest,
    SearchResult,
    VideoNotFound,
)
from twinlens.search.searcher import Searcher
from twinlens.stores.base import Payload

THUMBNAIL_MAX_AGE_S: Final = 3600


def api_blueprint(
    index: PublishedIndex,
    *,
    thumbnails: Path,
    count_searches: Callable[[int], None],
    max_wait_s: float,
) -> Blueprint:
    """The API's routes over ``index``; pictures are read from the folder ``thumbnails``.

    ``count_searches`` is told how many searches a request has, where it can have several, and
    raises a ``Problem`` where these are too many. A search among several waits for those before it
    at most ``max_wait_s``.
    """
    api = Blueprint("api", __name__, url_prefix=API_ROOT)
    pictures = Thumbnails(thumbnails)

    def answer_hits(body: PageBody, wanted: HitsRequest) -> Response:
        with index.borrow() as snapshot:
            result = _found(snapshot.searcher, wanted, StageTimes(), max_wait_s=max_wait_s)
        to_json = (
            fused_answer_json if isinstance(wanted, MultiSearchRequest) else search_answer_json
        )
        with timed_stage("serialise"):
            return _json(
                to_json(
                    result,
                    body,
                    took_ms=_spent_ms(g.started),
                    query_id=g.request_id,
                    generation=snapshot.generation,
                )
            )

    def answer_each(bodies: Sequence[SearchBody]) -> Response:
        outcomes: list[SearchAnswer | Problem] = []
        timings: Counter[str] = Counter()
        budget = TimeBudget(max_wait_s)
        with index.borrow() as snapshot:
            for body in bodies:
                started = time.perf_counter()
                stages = StageTimes()
                try:
                    budget.check()
                    result = _found(
                        snapshot.searcher, body.search_request(), stages, max_wait_s=max_wait_s
                    )
                except SEARCH_ERRORS as error:
                    outcomes.append(as_problem(error))
                    continue
                finally:
                    timings.update(stages.milliseconds())
                with timed_stage("serialise"):
                    outcomes.append(
                        search_answer(
                            result,
                            body,
                            took_ms=_spent_ms(started),
                            query_id=g.request_id,
                            generation=snapshot.generation,
                        )
                    )
        with timed_stage("serialise"):
            return _json(
                multi_search_answer_json(
                    outcomes,
                    bodies,
                    took_ms=_spent_ms(g.started),
                    timings_ms=timings,
                    query_id=g.request_id,
                    generation=snapshot.generation,
                )
            )

    @api.get("/search")
    def search_by_query() -> Response:
        body = search_from_query(request, index.fields())
        return answer_hits(body, body.search_request())

    @api.post("/search")
    def search() -> Response:
        body = search_from_body(request, index.fields())
        return answer_hits(body, body.search_request())

    @api.post("/multi-search")
    def multi_search() -> Response:
        body = multi_search_from_body(request, index.fields())
        count_searches(len(body.searches))
        if body.fuse:
            return answer_hits(body, body.multi_search_request())
        return answer_each(body.searches)

    @api.post("/recommendations")
    def recommendations() -> Response:
        body = recommendations_from_body(request, index.fields())
        return answer_hits(body, body.recommendation_request())

    @api.get("/videos")
    def videos() -> Response:
        body = browse_from_query(request, index.fields())
        with index.borrow() as snapshot:
            result = snapshot.browser.browse(body.browse_request())
        add_stages(result.timings_ms)
        with timed_stage("serialise"):
            return _json(
                browse_answer_json(
                    result,
                    body,
                    took_ms=_spent_ms(g.started),
                    query_id=g.request_id,
                    generation=snapshot.generation,
                )
            )

    @api.get("/videos/<video_id>")
    def video(video_id: str) -> Response:
        no_parameters(request)
        payload, fields, generation = find(video_id)
        video = fit(VideoBody, fields).of(payload)
        return _model(fit(VideoAnswer, fields)(video=video, generation=generation))

    @api.get("/videos/<video_id>/similar")
    def similar(video_id: str) -> Response:
        options = similar_from_query(request, index.fields())
        return answer_hits(options, options.search_request(video_id))

    @api.get("/videos/<video_id>/thumbnail")
    def thumbnail(video_id: str) -> Response:
        width = thumbnail_width_from_query(request)
        payload, _, _ = find(video_id)
        name = payload_thumbnail_file(payload)
        tag = pictures.tag(name, width)
        response = Response()
        try:
            if name is None or tag is None:
                raise FileNotFoundError
            if request.if_none_match.contains_weak(tag):
                response.status_code = 304
            else:
                picture = pictures.read(name, width)
                response = Response(picture.data, content_type=picture.media_type)
        except FileNotFoundError as error:
            raise Problem(
                Code.THUMBNAIL_NOT_FOUND, f"video {shortened(video_id)!r} has no thumbnail"
            ) from error
        response.set_etag(tag)
        response.cache_control.public = True
        response.cache_control.max_age = THUMBNAIL_MAX_AGE_S
        return response

    @api.get("/stats")
    def stats() -> Response:
        no_parameters(request)
        with index.borrow() as snapshot:
            return _model(StatsAnswer.of(snapshot.manifest))

    def find(video_id: str) -> tuple[Payload, Fields, str]:
        with index.borrow() as snapshot:
            found = snapshot.reader.get([video_id])
            if video_id not in found:
                raise VideoNotFound({"video_id": video_id})
            return found[video_id].payload, snapshot.manifest.fields, snapshot.generation

    return api


def _found(
    searcher: Searcher, wanted: HitsRequest, stages: StageTimes, *, max_wait_s: float
) -> SearchResult:
    try:
        match wanted:
            case SearchRequest():
                g.query_text = wanted.text
                return searcher.search(wanted, stages)
            case RecommendationRequest():
                return searcher.recommend(wanted, stages)
            case MultiSearchRequest():
                return searcher.multi_search(wanted, stages, budget=TimeBudget(max_wait_s))
    finally:
        add_stages(stages.milliseconds())


def _spent_ms(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 3)


def _model(answer: BaseModel) -> Response:
    return _json(answer.model_dump_json())


def _json(text: str | bytes) -> Response:
    return Response(text, content_type="application/json")
