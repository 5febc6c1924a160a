"""What the models of requests and of answers have in common."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError

API_ROOT: Final = "/api/v1"
AT_FAULT: Final = "at_fault"


def at_least_one_of(*names: str, of_type: str) -> dict[str, Any]:
    """What a JSON schema says of an object that needs one of ``names``, and not null."""
    return {
        "anyOf": [{"required": [name], "properties": {name: {"type": of_type}}} for name in names]
    }


def at_fault(message: str, *any_of: str, expected: str | None = None) -> PydanticCustomError:
    """What a validator raises to say more than a ``ValueError`` does.

    With ``any_of``, fields of the validated model, the first of them is at fault, and ``{names}``
    in the message stands for all, as the caller spells them. ``expected`` is what would be right.
    """
    return PydanticCustomError(AT_FAULT, message, {"any_of": any_of, "expected": expected})


class RequestModel(BaseModel):
    """Strict: no type is coerced, no unknown field is overlooked."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, use_attribute_docstrings=True
    )


class AnswerModel(BaseModel):
    """What callers get: a field without a default is always there, one with may be absent."""

    model_config = ConfigDict(use_attribute_docstrings=True)
