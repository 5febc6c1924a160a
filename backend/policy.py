"""What the operator allows, and what is to be seen of it: plain values, made from the settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

LogFormat = Literal["json", "text"]
MAX_BODY_BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How the application treats its callers.

    ``log_queries`` puts what was searched for into the log.
    """

    max_body_bytes: int = MAX_BODY_BYTES
    log_queries: bool = False
