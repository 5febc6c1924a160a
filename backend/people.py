"""Who may see and remove what is kept of a person: an admin, and whom the site vouches for."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Callable
from typing import Final

from flask import Request

from twinlens.backend.access import Keys, Role, read_key
from twinlens.backend.problem_kinds import Code
from twinlens.backend.problems import Problem

PERSON_HEADER: Final = "X-Person-Token"
_TOKEN: Final = re.compile(r"(\d{1,12})\.([0-9a-f]{64})")


def brings_token(request: Request) -> bool:
    """Return whether ``request`` is about a person and has a token, of whatever worth."""
    return PERSON_HEADER in request.headers and "person_id" in (request.view_args or {})


class PersonRights:
    """Lets an admin key through, and a person token that was signed with ``secret``.

    A token is ``EXPIRES.SIGNATURE``: seconds since 1970, and HMAC-SHA256 of ``EXPIRES:PERSON_ID``
    in hex. A request may bring several, with commas between.
    """

    def __init__(self, keys: Keys, secret: str, *, clock: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._secret = secret.encode()
        self._clock = clock

    def require(self, request: Request, *person_ids: str) -> None:
        """Return if ``request`` may touch what is kept of all these.

        Raises:
            Problem: it may not; or the operator has not said who may.
        """
        has_admins = self._keys.to_administrate is Role.ADMIN
        if not has_admins and not self._secret:
            raise Problem(
                Code.FORBIDDEN,
                "routes about a person are off: the operator has set neither admin_keys nor "
                "person_secret",
            )
        if has_admins and self._keys.find_role(request) is Role.ADMIN:
            return
        tokens = request.headers.get(PERSON_HEADER, "")
        if all(self._is_signed(tokens, person_id) for person_id in person_ids):
            return
        if not tokens and read_key(request) is None:
            raise Problem(
                Code.UNAUTHORIZED,
                f"an admin key is needed, or a person token as {PERSON_HEADER}",
                headers={"WWW-Authenticate": 'Bearer realm="TwinLens"'},
            )
        raise Problem(Code.FORBIDDEN, "this takes an admin key, or a token of this person's")

    def _is_signed(self, tokens: str, person_id: str) -> bool:
        """Return whether one of ``tokens`` is of this person; every one is compared."""
        found = False
        for expires, signature in _TOKEN.findall(tokens):
            said = f"{expires}:{person_id}".encode("utf-8", "surrogatepass")
            right = hmac.new(self._secret, said, hashlib.sha256).hexdigest()
            same = hmac.compare_digest(right, signature)
            found |= bool(self._secret) and same and int(expires) >= self._clock()
        return found
