"""What ``serve`` says on standard error: a line for each request, as JSON or for people."""

from __future__ import annotations

import logging
import sys
from typing import Any, Final

from flask import Response, g, request
from pythonjsonlogger.json import JsonFormatter

from twinlens.backend.metrics import route_of_request, stages_ms
from twinlens.backend.policy import LogFormat

# Asked every few seconds by machines; worth a line only where the answer is not a good one.
_PROBES: Final = frozenset({"/healthz", "/readyz", "/metrics"})

_log = logging.getLogger("twinlens.backend.requests")


def configure_logs(log_format: LogFormat) -> None:
    """Write all that is logged to standard error in ``log_format``, each request among it."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonFormatter(
            ["levelname", "name", "process", "message"],
            rename_fields={"levelname": "level", "name": "logger"},
            timestamp="time",
        )
        if log_format == "json"
        else logging.Formatter("%(levelname)s %(name)s: %(message)s")
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    _log.setLevel(logging.INFO)
    # waitress warns of each request that finds no free thread.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)


def log_request(response: Response, *, seconds: float, query: bool) -> None:
    """Write the line of the request at hand. What was searched for is in it only with ``query``."""
    route = route_of_request()
    if not _log.isEnabledFor(logging.INFO) or (route in _PROBES and response.status_code < 400):
        return
    milliseconds = round(seconds * 1000, 3)
    fields: dict[str, Any] = {
        "request_id": g.request_id,
        "client": request.remote_addr,
        "method": request.method,
        "route": route,
        "path": request.path,
        "status": response.status_code,
        "bytes": response.content_length,
        "took_ms": milliseconds,
        "stages_ms": {stage: round(spent, 3) for stage, spent in stages_ms().items()},
    }
    if response.status_code >= 400 and "problem_code" in g:
        fields["code"] = g.problem_code
    if query and g.get("query_text") is not None:
        fields["query"] = g.query_text
    _log.info(
        "%s %s %d in %.1f ms",
        request.method,
        request.path.encode("unicode_escape").decode("ascii"),
        response.status_code,
        milliseconds,
        extra=fields,
    )
