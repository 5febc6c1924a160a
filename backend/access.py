"""Who may ask what: API keys, and the pages of other origins."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Sequence
from enum import IntEnum
from typing import Final

from flask import Flask, Request, Response, request

ALLOWED_METHODS: Final = "GET, HEAD, POST"
ALLOWED_HEADERS: Final = "Authorization, Content-Type, If-None-Match, X-API-Key, X-Request-Id"
EXPOSED_HEADERS: Final = "ETag, RateLimit, RateLimit-Policy, Retry-After, X-Request-Id"
PREFLIGHT_MAX_AGE_S: Final = 7200


class Role(IntEnum):
    """What a caller may do; each includes those before it."""

    NOBODY = 0
    READER = 1
    ADMIN = 2


class Keys:
    """The keys that callers may hold; without any, everyone may do everything."""

    def __init__(self, *, read: Sequence[str], admin: Sequence[str]) -> None:
        self._roles = [
            (_digest(key), role)
            for role, keys in ((Role.READER, read), (Role.ADMIN, admin))
            for key in keys
        ]
        self.to_read = Role.READER if read else Role.NOBODY
        self.to_administrate = Role.ADMIN if admin else self.to_read

    def role(self, request: Request) -> Role:
        """What the key of ``request`` allows; ``NOBODY`` without one, or with a wrong one."""
        presented = presented_key(request)
        if presented is None:
            return Role.NOBODY
        digest = _digest(presented)
        found = Role.NOBODY
        # All are compared, each in the same time, so that the time tells nothing of them.
        for known, role in self._roles:
            if hmac.compare_digest(known, digest):
                found = max(found, role)
        return found


def presented_key(request: Request) -> str | None:
    """The key of ``request``: ``Authorization: Bearer KEY`` or ``X-API-Key: KEY``."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return key.strip()
    return request.headers.get("X-API-Key")


def caller_of(request: Request, role: Role) -> str:
    """Whose allowance ``request`` uses up: its key's, where that is a good one, or its address's.

    An IPv6 address stands for its /64, which is what one subscriber is given.
    """
    key = presented_key(request)
    if role is not Role.NOBODY and key is not None:
        return f"key:{_digest(key).hex()}"
    try:
        address = ipaddress.ip_address(request.remote_addr or "")
    except ValueError:
        return f"address:{request.remote_addr}"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return f"address:{ipaddress.ip_network((address, 64), strict=False)}"
        address = address.ipv4_mapped
    return f"address:{address}"


def allow_origins(app: Flask, origins: Sequence[str]) -> None:
    """Let pages of ``origins`` read what ``app`` answers; ``*`` is any page.

    Cookies play no part: nothing here is allowed by a cookie.
    """
    if not origins:
        return
    allowed = frozenset(origins)

    def is_preflight() -> bool:
        return request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers

    @app.before_request
    def preflight() -> Response | None:
        return Response(status=204) if is_preflight() else None

    @app.after_request
    def tell(response: Response) -> Response:
        headers = response.headers
        headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        if "*" in allowed:
            headers["Access-Control-Allow-Origin"] = "*"
        else:
            response.vary.add("Origin")
            origin = request.headers.get("Origin")
            if origin not in allowed:
                return response
            headers["Access-Control-Allow-Origin"] = origin
        headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
        if is_preflight():
            headers["Access-Control-Allow-Methods"] = ALLOWED_METHODS
            headers["Access-Control-Allow-Headers"] = ALLOWED_HEADERS
            headers["Access-Control-Max-Age"] = str(PREFLIGHT_MAX_AGE_S)
        return response


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
