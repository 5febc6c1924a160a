"""What the operator allows, and what is to be seen of it: plain values, made from the settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

LogFormat = Literal["json", "text"]
MAX_BODY_BYTES: Final = 16 * 1024 * 1024
DEFAULT_REQUEST_THREADS: Final = 8
# How many requests of one process may wait for their turn; one more is refused at once.
MOST_WAITING: Final = 128
# The longest request line; longer searches are sent by POST.
MAX_REQUEST_LINE: Final = 8190
# The longest field of a head, and how many it may have.
MAX_FIELD_BYTES: Final = 8190
MOST_FIELDS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How the application treats its callers.

    Without ``api_keys`` anyone may search, without ``admin_keys`` whoever may search may read the
    metrics. ``cors_origins`` are the origins whose pages may use the API, ``*`` for any.
    ``rate_limit`` is requests a minute per caller, 0 for any number. ``trusted_proxies`` stand
    before the server, and each tells the caller's address. ``searches_at_a_time`` take their turn;
    who waits longer than ``max_wait_s`` for one is turned away, and so is, of several searches in
    one request, what would wait longer for those before it. ``log_queries`` puts what was searched
    for into the log.
    """

    api_keys: tuple[str, ...] = field(default=(), repr=False)
    admin_keys: tuple[str, ...] = field(default=(), repr=False)
    cors_origins: tuple[str, ...] = ()
    rate_limit: int = 0
    trusted_proxies: int = 0
    max_body_bytes: int = MAX_BODY_BYTES
    searches_at_a_time: int = DEFAULT_REQUEST_THREADS
    max_wait_s: float = 5.0
    log_queries: bool = False
