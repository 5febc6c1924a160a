"""Base classes of requests and answers, and a description in words of the values they take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError

API_ROOT: Final = "/api/v1"
AT_FAULT: Final = "at_fault"
_Schema = Mapping[str, Any]
# Bounds this large protect the engines; they are not worth telling people.
_ENDLESS: Final = 1e12
_NULL: Final = {"type": "null"}


def lack(*names: str) -> dict[str, Any]:
    """Return JSON schema for an object that has none of ``names``, or null in their place.

    Rules between fields are ``not`` such a schema: generators of clients pass over it, where an
    ``anyOf`` beside ``properties`` makes another type of each branch.
    """
    return {"properties": dict.fromkeys(names, _NULL)}


def make_fault(message: str, *any_of: str, expected: str | None = None) -> PydanticCustomError:
    """Return an error for a validator to raise that says more than a ``ValueError``.

    ``any_of`` names fields of the validated model: the first is reported as the one at fault, and
    ``{names}`` in the message is replaced by all of them, as the caller spells them. ``expected``
    says what would be right.
    """
    return PydanticCustomError(AT_FAULT, message, {"any_of": any_of, "expected": expected})


class RequestModel(BaseModel):
    """Strict: no type is coerced, no unknown field is overlooked."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, use_attribute_docstrings=True
    )


class AnswerModel(BaseModel):
    """An answer: a field without a default is always there, one with a default may be absent."""

    model_config = ConfigDict(use_attribute_docstrings=True)


# ---- what would be right in the place of a field at fault, from its model's JSON schema


def describe_expected(
    model: type[BaseModel],
    place: Sequence[int | str],
    *,
    unknown: bool = False,
    bounds: bool = False,
    renamed: Mapping[str, str | None] = MappingProxyType({}),
) -> str | None:
    """Say in words what ``model`` takes at ``place``, a pydantic location; None if unknown.

    With ``unknown``, for a field that the model doesn't have, list the fields it has, under the
    names that ``renamed`` gives them; those renamed to None are left out. With ``bounds``, for a
    number out of bounds, name the bounds however far off they are.
    """
    root = _make_schema(model)
    found = _find(root, root, list(place[:-1] if unknown else place))
    if found is None:
        return None
    if unknown:
        names = [renamed.get(name, name) for name in _list_field_names(root, found)]
        return f"one of: {', '.join(filter(None, names))}" if names else None
    return _put_in_words(root, found, bounds=bounds)


@cache
def _make_schema(model: type[BaseModel]) -> _Schema:
    return model.model_json_schema()


def _resolve(root: _Schema, schema: _Schema) -> _Schema:
    while "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    return schema


def _list_options(root: _Schema, schema: _Schema) -> list[_Schema]:
    """Return the alternatives of ``schema`` but for null; itself where it has none."""
    schema = _resolve(root, schema)
    if "anyOf" not in schema or "type" in schema:
        return [schema]
    return [
        option for one in schema["anyOf"] if one != _NULL for option in _list_options(root, one)
    ]


def _find(root: _Schema, schema: _Schema, place: list[int | str]) -> _Schema | None:
    if not place:
        return schema
    step, *rest = place
    options = _list_options(root, schema)
    for option in options:
        if isinstance(step, int) and "items" in option:
            return _find(root, option["items"], rest)
        if step in option.get("properties", {}):
            return _find(root, option["properties"][step], rest)
    # Where a value may be of several types, pydantic's place names the one that it tried.
    return _find(root, schema, rest) if len(options) > 1 else None


def _list_field_names(root: _Schema, schema: _Schema) -> list[str]:
    return [name for one in _list_options(root, schema) for name in one.get("properties", {})]


def _put_in_words(root: _Schema, schema: _Schema, *, bounds: bool = False) -> str | None:
    words = [
        _put_one_in_words(root, option, bounds=bounds) for option in _list_options(root, schema)
    ]
    if None in words:
        return None
    return ", or ".join(dict.fromkeys(filter(None, words)))


def _put_one_in_words(root: _Schema, schema: _Schema, *, bounds: bool) -> str | None:
    if "const" in schema:
        return str(schema["const"])
    if "enum" in schema:
        return f"one of: {', '.join(map(str, schema['enum']))}"
    match schema.get("type"):
        case "boolean":
            return "true or false"
        case "integer":
            return f"a whole number{_put_bounds_in_words(schema, far_too=bounds)}"
        case "number":
            return f"a number{_put_bounds_in_words(schema, far_too=bounds)}"
        case "string":
            return _put_string_in_words(schema)
        case "array":
            lengths = _put_lengths_in_words(schema, "minItems", "maxItems")
            each = _put_in_words(root, schema["items"])
            return f"a list{f' of {lengths}' if lengths else ''}{f', each {each}' if each else ''}"
        case "object":
            return f"an object with any of: {', '.join(schema['properties'])}"
    return None


def _put_string_in_words(schema: _Schema) -> str:
    if schema.get("format") == "date":
        return "a date, such as 2024-01-31"
    if schema.get("format") == "date-time":
        return "a moment in RFC 3339 with an offset, such as 2024-01-31T00:00:00Z"
    if schema.get("contentEncoding") == "base64":
        return "a picture in base64, without the data: prefix"
    lengths = _put_lengths_in_words(schema, "minLength", "maxLength")
    return f"text of {lengths} characters" if lengths else "text"


def _put_bounds_in_words(schema: _Schema, *, far_too: bool) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is None or most is None or (most >= _ENDLESS and not far_too):
        return ""
    return f" from {_write_number(least)} to {_write_number(most)}"


def _write_number(number: float) -> str:
    return f"{number:,.0f}" if number == int(number) else f"{number:,g}"


def _put_lengths_in_words(schema: _Schema, least: str, most: str) -> str:
    if most not in schema:
        return ""
    if schema.get(least, 0) == 0:
        return f"at most {schema[most]:,}"
    return f"{schema[least]:,} to {schema[most]:,}"
