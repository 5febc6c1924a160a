"""The page at ``/``, and what tells an operator that the server lives."""

from __future__ import annotations

from flask import Blueprint, Response, current_app

from twinlens.backend.schemas.answers import HealthAnswer
from twinlens.search.published import PublishedIndex


def site_blueprint(index: PublishedIndex) -> Blueprint:
    """The page, ``/healthz`` (the process answers) and ``/readyz`` (so does the engine)."""
    site = Blueprint("site", __name__)

    @site.get("/")
    def page() -> Response:
        return current_app.send_static_file("index.html")

    @site.get("/healthz")
    def healthz() -> Response:
        return _health(HealthAnswer(status="ok"))

    @site.get("/readyz")
    def readyz() -> Response:
        with index.borrow() as snapshot:
            # Looking for one id is the cheapest question; a store that is away can't answer it.
            snapshot.reader.get(["readyz"])
            return _health(HealthAnswer(status="ready", generation=snapshot.generation))

    return site


def _health(answer: HealthAnswer) -> Response:
    response = Response(answer.model_dump_json(exclude_none=True), content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response
