"""The Flask application: routes over a published index, request ids, security headers."""

from __future__ import annotations

import re
import time
import uuid
from pathlib import Path
from typing import Final

from flask import Flask, Response, g, request

from backend.api import api_blueprint
from backend.docs import docs_blueprint
from backend.index import PublishedIndex
from backend.logs import log_request
from backend.metrics import Metrics, metrics_blueprint
from backend.policy import Policy
from backend.problems import register_problems
from backend.site import site_blueprint

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob:; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def create_app(
    index: PublishedIndex,
    *,
    thumbnails: Path,
    policy: Policy = Policy(),  # noqa: B008 - frozen
    metrics_directory: Path | None = None,
) -> Flask:
    """The API and the page over ``index``; pictures are read from the folder ``thumbnails``.

    ``metrics_directory`` is where several processes put their numbers together.

    Nothing is opened before the first request, so the application may be made before a fork.
    """
    app = Flask(__name__, static_folder="static", static_url_path="/static")
    app.config["MAX_CONTENT_LENGTH"] = policy.max_body_bytes
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.url_map.merge_slashes = False
    app.register_blueprint(api_blueprint(index, thumbnails=thumbnails))
    app.register_blueprint(site_blueprint(index))
    app.register_blueprint(docs_blueprint())
    metrics = Metrics(metrics_directory)
    app.register_blueprint(metrics_blueprint(index, metrics))
    register_problems(app)

    @app.before_request
    def begin() -> None:
        g.started = time.perf_counter()
        metrics.begin()
        given = request.headers.get("X-Request-Id", "")
        g.request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex

    @app.after_request
    def finish(response: Response) -> Response:
        response.headers["X-Request-Id"] = g.request_id
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        seconds = time.perf_counter() - g.started
        metrics.observe(response, seconds=seconds)
        log_request(response, seconds=seconds, query=policy.log_queries)
        return response

    @app.teardown_request
    def end(_: BaseException | None) -> None:
        if "started" in g:
            metrics.end()

    return app
