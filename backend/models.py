"""What the models of requests and of answers have in common."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


def at_least_one_of(*names: str, of_type: str) -> dict[str, Any]:
    """What a JSON schema says of an object that needs one of ``names``, and not null."""
    return {
        "anyOf": [{"required": [name], "properties": {name: {"type": of_type}}} for name in names]
    }


class RequestModel(BaseModel):
    """Strict: no type is coerced, no unknown field is overlooked."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, use_attribute_docstrings=True
    )


class AnswerModel(BaseModel):
    """What callers get: a field without a default is always there, one with may be absent."""

    model_config = ConfigDict(use_attribute_docstrings=True)
