"""The Flask application: routes over a published index, request ids, security headers."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from flask import Flask, Response, g, request
from flask_compress import Compress
from werkzeug.exceptions import (
    BadRequest,
    ExpectationFailed,
    RequestEntityTooLarge,
    RequestHeaderFieldsTooLarge,
    RequestURITooLarge,
)
from werkzeug.middleware.proxy_fix import ProxyFix

from twinlens.backend.access import (
    MAX_FIELD_BYTES,
    MAX_REQUEST_LINE,
    MOST_FIELDS,
    MOST_WAITING,
    RATE_WINDOW_S,
    Keys,
    Policy,
    RateLimiter,
    Role,
    Turns,
    allow_origins,
    choose_request_id,
    identify_caller,
    read_key,
)
from twinlens.backend.api import ApiViews
from twinlens.backend.content_types import StaticFlask
from twinlens.backend.event_api import EventViews
from twinlens.backend.feed_api import FeedViews
from twinlens.backend.mounting import mount
from twinlens.backend.observing import Metrics, log_request, time_stage, trace_requests
from twinlens.backend.people import PersonRights, brings_token
from twinlens.backend.problem_kinds import Code
from twinlens.backend.problems import Problem, register_problems
from twinlens.backend.routes import Route, list_routes, make_blueprint
from twinlens.backend.site import DocsViews, SiteViews
from twinlens.catalog.errors import TwinLensError
from twinlens.events.log import EventLog
from twinlens.recommender.pages import Feeds
from twinlens.search.published import PublishedIndex
from twinlens.search.rules import NO_GUIDANCE, Guidance

# What the OpenAPI document describes.
ROUTES: Final[Sequence[Route]] = list_routes(ApiViews, FeedViews, EventViews, SiteViews)
_HEADERS: Final = {
    "Content-Security-Policy": (
        # A catalogue's films may lie anywhere, and no more than play.
        "default-src 'self'; img-src 'self' blob:; media-src 'self' https: http:; "
        "object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


def create_app(
    index: PublishedIndex,
    *,
    thumbnails: Path,
    policy: Policy = Policy(),  # noqa: B008 - frozen
    shared: Path | None = None,
    events: EventLog | None = None,
    feeds: Feeds | None = None,
    guidance: Guidance = NO_GUIDANCE,
) -> Flask:
    """Return the API and the page over ``index``; pictures are read from the folder ``thumbnails``.

    ``events`` keeps what people do; without it no route is about that. ``feeds`` makes feeds, by
    ``events`` if not given, and ``guidance`` steers what is found. ``shared`` is a folder where
    several processes gather their metrics. Nothing is opened before the first request, so the
    application may be made before a fork.
    """
    app = StaticFlask(__name__, static_folder="static", static_url_path="/static")
    app.config["MAX_CONTENT_LENGTH"] = policy.max_body_bytes
    app.config["COMPRESS_ALGORITHM"] = ["zstd", "br", "gzip"]
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.url_map.merge_slashes = False
    if policy.trusted_proxies:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=policy.trusted_proxies, x_proto=policy.trusted_proxies
        )
    trace_requests(app)  # before all else that a request meets
    keys = Keys(read=policy.api_keys, admin=policy.admin_keys)
    metrics = Metrics(shared)
    _observe(app, metrics, policy)
    _refuse_odd_heads(app)
    mount(app, policy.path_prefix, trusted=bool(policy.trusted_proxies))
    allow_origins(app, policy.cors_origins)
    count_searches = _admit(app, keys, _open_rate_limiter(app, policy, shared))
    Compress(app)
    feeds = feeds or Feeds(log=events)
    _revalidate(app, index, feeds, guidance, private=bool(policy.api_keys))
    _receive(app, max_body_bytes=policy.max_body_bytes)
    _take_turns(
        app,
        index,
        Turns(
            policy.searches_at_a_time,
            wait_s=policy.max_wait_s,
            most_waiting=MOST_WAITING,
            waiting=metrics.waiting,
        ),
    )
    api = ApiViews(
        index,
        feeds=feeds,
        metrics=metrics,
        thumbnails=thumbnails,
        count_searches=count_searches,
        max_wait_s=policy.max_wait_s,
        guidance=guidance,
    )
    rights = PersonRights(keys, policy.person_secret)
    feed = FeedViews(index, feeds, metrics, rights)
    app.register_blueprint(make_blueprint("api", api, feed))
    if events is not None:
        views = EventViews(events, rights, metrics, keep_searches=policy.keep_searches)
        app.register_blueprint(make_blueprint("events", views))
    app.register_blueprint(make_blueprint("site", SiteViews(index, feeds, metrics, guidance)))
    app.register_blueprint(make_blueprint("docs", DocsViews(ROUTES, keys, index)))
    register_problems(app)
    return app


def _observe(app: Flask, metrics: Metrics, policy: Policy) -> None:
    """Give each request an id, count and log it, and set the headers of every answer."""

    @app.before_request
    def begin() -> None:
        g.started = time.perf_counter()
        metrics.begin()
        g.request_id = choose_request_id(request.headers.get("X-Request-Id"))

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


def _refuse_odd_heads(app: Flask) -> None:
    """Refuse heads that no honest caller sends, and that servers in front may read otherwise."""

    @app.before_request
    def refuse() -> None:
        environ = request.environ
        if environ.get("HTTP_EXPECT", "100-continue").lower() != "100-continue":
            raise ExpectationFailed
        target = environ.get("REQUEST_URI", "")
        if len(f"{request.method} {target} {environ['SERVER_PROTOCOL']}") > MAX_REQUEST_LINE:
            raise RequestURITooLarge
        if not target.isascii():
            raise BadRequest("the path has bytes that are neither ASCII nor escaped")
        fields = [value for name, value in environ.items() if name.startswith("HTTP_")]
        if len(fields) > MOST_FIELDS or any(len(one) > MAX_FIELD_BYTES for one in fields):
            raise RequestHeaderFieldsTooLarge


def _admit(app: Flask, keys: Keys, limiter: RateLimiter | None) -> Callable[[int], None]:
    """Refuse callers who lack a needed key, or who ask too often.

    Returns a function that charges the current request as N searches, capped at the caller's full
    allowance so that a large multi-search is not impossible.
    """

    def count(requests: int = 1, *, begun: int = 0) -> None:
        if limiter is None or requests == 0:
            return
        g.allowance = allowance = limiter.take(g.caller, requests, begun=begun)
        if not allowance.allowed:
            of_several = ", and each of several searches is one" if begun else ""
            raise Problem(
                Code.RATE_LIMITED,
                f"at most {allowance.limit} requests a minute{of_several}",
                headers={"Retry-After": str(allowance.retry_s)},
            )

    def count_searches(searches: int) -> None:
        if limiter is not None:
            count(min(searches, limiter.per_minute) - 1, begun=1)

    @app.before_request
    def admit() -> None:
        role = keys.find_role(request)
        needed = Role.NOBODY
        if request.endpoint == "site.metrics":
            needed = keys.to_administrate
        elif _is_api() and not brings_token(request):  # which its route looks at
            needed = keys.to_read
        # Thumbnails are not counted, since a page shows many; guesses at keys are.
        counts = _is_api() and request.endpoint != "api.thumbnail"
        if counts or role < needed:
            g.caller = identify_caller(request, role)
            count()
        if role >= needed:
            return
        if role is Role.NOBODY:
            challenge = 'Bearer realm="TwinLens"'
            if read_key(request) is None:
                detail = "an API key is needed, as Authorization: Bearer KEY"
            else:
                detail = "the server does not know this API key"
                challenge += ', error="invalid_token"'  # RFC 6750, section 3.1
            raise Problem(Code.UNAUTHORIZED, detail, headers={"WWW-Authenticate": challenge})
        raise Problem(Code.FORBIDDEN, "this takes an admin key")

    @app.after_request
    def tell(response: Response) -> Response:
        # As draft-ietf-httpapi-ratelimit-headers has them.
        if "allowance" in g:
            response.headers["RateLimit-Policy"] = (
                f'"default";q={g.allowance.limit};w={RATE_WINDOW_S}'
            )
            response.headers["RateLimit"] = (
                f'"default";r={g.allowance.remaining};t={g.allowance.reset_s}'
            )
        return response

    return count_searches


def _revalidate(
    app: Flask, index: PublishedIndex, feeds: Feeds, guidance: Guidance, *, private: bool
) -> None:
    """Answer 304 to a caller whose copy of the answer is still good.

    An answer depends only on the index, what hits match by, the model where one takes part, how the
    owner steers, the code, and the request itself, so its tag is made of these and can be compared
    before the answer is computed. The tag is weak, because the answer also holds how long the
    search took, and its id.
    """
    code = _digest_code()

    def is_read() -> bool:
        return request.blueprint == "api" and request.method in {"GET", "HEAD"}

    def make_tag() -> str | None:
        if not is_read() or request.endpoint == "api.thumbnail":
            return None  # a thumbnail has one of its own
        if request.args.get("order") == "random" and "seed" not in request.args:
            return None
        try:
            with index.borrow() as snapshot:
                made_by = f"{snapshot.generation} {snapshot.searcher.calibration}"
                if request.endpoint in {"api.similar", "api.stats"}:
                    model, is_damaged = feeds.find_model(snapshot)
                    if request.endpoint == "api.stats" and (model is not None or is_damaged):
                        return None  # it tells what is another each time
                    made_by += f" {model and model.name} {is_damaged}"
        except TwinLensError:
            return None  # the view will say so
        path = request.script_root + request.path
        steered = guidance.name_version().encode()
        parts = (made_by.encode(), code, steered, path.encode(), request.query_string)
        return hashlib.sha256(b"\0".join(parts)).hexdigest()[:32]

    @app.before_request
    def answer_unchanged() -> Response | None:
        g.tag = make_tag()
        given = request.if_none_match
        if g.tag is not None and not given.star_tag and given.contains_weak(g.tag):
            return Response(status=304)
        return None

    @app.after_request
    def tag_answer(response: Response) -> Response:
        if _is_api() and private and response.cache_control.public:
            response.cache_control.public = False
            response.cache_control.private = True
        # `*` matches any answer, but only the answer shows that there is one.
        if is_read() and response.status_code == 200 and request.if_none_match.star_tag:
            response.status_code = 304
            response.set_data(b"")
        # Skip if a new index was published meanwhile: the answer may come from either.
        if response.status_code in {200, 304} and g.get("tag") is not None and make_tag() == g.tag:
            response.set_etag(g.tag, weak=True)
            response.cache_control.no_cache = True
            if private:
                response.cache_control.private = True
        elif _is_api():
            response.headers.setdefault("Cache-Control", "no-store")
        return response


def _digest_code() -> bytes:
    """Return a digest of the code that answers, and what it reads: another may answer otherwise."""
    digest = hashlib.sha256()
    # Rooms of a checkout are links, which `Path.rglob` does not follow in every version.
    for folder, folders, files in os.walk(Path(__file__).parents[1], followlinks=True):
        folders.sort()
        for name in sorted(files):
            if name.endswith((".py", ".toml")):
                digest.update((Path(folder) / name).read_bytes())
    return digest.digest()


def _receive(app: Flask, *, max_body_bytes: int) -> None:
    """Read the body of each request before its turn: some servers let a thread wait for it."""

    @app.before_request
    def receive() -> None:
        if not _is_api() or request.method == "OPTIONS":
            return
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise Problem(
                Code.UNSUPPORTED_MEDIA_TYPE,
                "the body is compressed; send it as it is, without Content-Encoding",
                headers={"Accept-Encoding": "identity"},
            )
        if request.method == "POST":
            with time_stage("receive"):
                body = request.get_data(cache=True)
            # Werkzeug cuts a body of unstated length at the limit without an error.
            if request.content_length is None and len(body) >= max_body_bytes:
                raise RequestEntityTooLarge


def _take_turns(app: Flask, index: PublishedIndex, turns: Turns) -> None:
    """Let ``turns`` decide how many requests that ask the index work at a time.

    While the engine is away none waits for a turn: those that have one may wait for the engine.
    """

    @app.before_request
    def take() -> None:
        if request.blueprint != "api" or request.method == "OPTIONS":
            return
        if request.endpoint == "api.suggest":
            return  # it asks no engine, and takes less time than its turn
        index.refuse_while_away()
        with time_stage("wait"):
            turns.take()
        g.has_turn = True

    @app.teardown_request
    def give_back(_: BaseException | None) -> None:
        if g.pop("has_turn", False):
            turns.give_back()


def _open_rate_limiter(app: Flask, policy: Policy, shared: Path | None) -> RateLimiter | None:
    if not policy.rate_limit:
        return None
    limiter = RateLimiter(
        policy.rate_limit,
        # Closed with the limiter.
        tempfile.TemporaryFile() if shared is None else (shared / "rates").open("a+b"),  # noqa: SIM115
    )
    weakref.finalize(app, limiter.close)
    return limiter


def _is_api() -> bool:
    return request.blueprint in {"api", "events"}
