"""From an HTTP request to a typed search: query strings, JSON bodies and multipart forms."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any, Final, TypeVar

from flask import Request
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from werkzeug.datastructures import MultiDict

from twinlens.backend.problem_kinds import Code
from twinlens.backend.problems import (
    MOST_LISTED,
    PICTURE_EXPECTED,
    FieldError,
    Problem,
    describe_invalid_fields,
    shorten,
)
from twinlens.backend.schemas.base import describe_expected
from twinlens.backend.schemas.feed_requests import FeedBody
from twinlens.backend.schemas.filters import FilterBody
from twinlens.backend.schemas.fitting import OfFields, WeightsBody, fit
from twinlens.backend.schemas.requests import (
    BrowseBody,
    FacetQueryBody,
    LookupBody,
    MultiSearchBody,
    RecommendationsBody,
    SearchBody,
    SimilarBody,
    ThumbnailQuery,
)
from twinlens.catalog.fields import Fields

ModelT = TypeVar("ModelT", bound=BaseModel)
# Twice what the largest search can have, whose filter names 100 values in each of 100 conditions.
# Each costs up to 15 µs, valid or not, and the process serves nobody else meanwhile.
MAX_VALUES: Final = 20_000
# Options that are objects: JSON text where a request can hold text only.
_OBJECTS: Final[Mapping[str, type[BaseModel]]] = {
    "filter": FilterBody,
    "weights": WeightsBody,
    "facet_query": FacetQueryBody,
}
# Options that are lists: their items with commas between, or the option repeated.
_LISTS: Final = ("attributes", "facets", "exclude")
# Lists of objects: JSON text, too; empty text for none.
_JSON_LISTS: Final = ("boost",)
# The types of picture that are taken, and given back as thumbnails.
PICTURES: Final = (
    *("image/jpeg", "image/png", "image/webp", "image/gif", "image/bmp"),
    *("image/avif", "image/heic"),
)
_IN_THE_BODY: Final = "the same in the body"
# The fields that a query string names differently from a body, or (None) does not take.
GET_NAMES: Final[Mapping[str, str | None]] = {"text": "q", "image": None}


def read_search_query(request: Request, fields: Fields) -> SearchBody:
    """Return the search that a query string asks for; ``q`` is its text, videos have ``fields``.

    Raises:
        Problem: something in it is not valid.
    """
    body = fit(SearchBody, fields)
    values = _take_single_values(request.args)
    for name in ("text", "image"):
        if name in values:
            hint = "call it q" if name == "text" else "send pictures by POST"
            known = describe_expected(body, (name,), unknown=True, renamed=GET_NAMES)
            raise _make_problem(name, f"not a parameter of GET: {hint}", known)
    if "q" in values:
        values["text"] = values.pop("q")
    return _parse_text(body, values, renamed=GET_NAMES)


def read_similar_query(request: Request, fields: Fields) -> SimilarBody:
    """Return the options that a query string gives.

    Raises:
        Problem: something in it is not valid.
    """
    return _parse_text(fit(SimilarBody, fields), _take_single_values(request.args))


def read_browse_query(request: Request, fields: Fields) -> BrowseBody:
    """Return the page of videos that a query string asks for.

    Raises:
        Problem: something in it is not valid.
    """
    return _parse_text(fit(BrowseBody, fields), _take_single_values(request.args))


def read_search_body(request: Request, fields: Fields) -> SearchBody:
    """Return the search that a JSON or multipart body asks for.

    Raises:
        Problem: something in it is not valid, or it is of another type.
    """
    if request.mimetype == "multipart/form-data":
        _refuse_query_string(request)
        return _parse_form(request, fit(SearchBody, fields))
    body = fit(SearchBody, fields)
    return _parse_json(body, request, types="application/json or multipart/form-data")


def read_lookup_body(request: Request, fields: Fields) -> LookupBody:
    """Return the ids of videos that a JSON body names.

    Raises:
        Problem: something in it is not valid, or it is of another type.
    """
    return _parse_json(fit(LookupBody, fields), request)


def read_recommendations_body(request: Request, fields: Fields) -> RecommendationsBody:
    """Return the recommendations that a JSON body asks for.

    Raises:
        Problem: something in it is not valid, or it is of another type.
    """
    return _parse_json(fit(RecommendationsBody, fields), request)


def read_thumbnail_width(request: Request) -> int | None:
    """Return the width that is asked for; None for the thumbnail as it is.

    Raises:
        Problem: it is none of the widths, or something else is asked for.
    """
    return _parse_text(ThumbnailQuery, _take_single_values(request.args)).w


def read_multi_search_body(request: Request, fields: Fields) -> MultiSearchBody:
    """Return the searches that a JSON body asks for.

    Raises:
        Problem: something in it is not valid, or it is of another type.
    """
    body = _parse_json(fit(MultiSearchBody, fields), request)
    misplaced = body.find_misplaced()
    if misplaced:
        raise Problem(
            Code.VALIDATION_FAILED,
            f"not valid: {shorten(', '.join(one.field for one in misplaced))}",
            errors=misplaced[:MOST_LISTED],
        )
    return body


def read_feed_body(request: Request, fields: Fields) -> FeedBody:
    """Return the feed that a JSON body asks for.

    Raises:
        Problem: something in it is not valid, or it is of another type.
    """
    return _parse_json(fit(FeedBody, fields), request)


def read_json_body(body: type[ModelT], request: Request, *, max_bytes: int | None = None) -> ModelT:
    """Return what a JSON body says; ``max_bytes`` is its limit, instead of that of its values.

    Raises:
        Problem: something in it is not valid, it is too long, or it is of another type.
    """
    return _parse_json(body, request, max_bytes=max_bytes)


def refuse_parameters(request: Request) -> None:
    """Refuse a query string that is not empty.

    Raises:
        Problem: it holds a parameter.
    """
    if request.args:
        raise _make_problem(
            next(iter(request.args)), "this route takes no parameters", "no parameters"
        )


def _refuse_query_string(request: Request) -> None:
    if request.args:
        raise _make_problem(
            next(iter(request.args)), "a POST takes its fields in the body", _IN_THE_BODY
        )


def _parse_json(
    body: type[ModelT],
    request: Request,
    *,
    types: str = "application/json",
    max_bytes: int | None = None,
) -> ModelT:
    _refuse_query_string(request)
    if request.mimetype != "application/json":
        raise Problem(
            Code.UNSUPPORTED_MEDIA_TYPE,
            f"the body is {shorten(request.mimetype) or 'of no stated type'}; send {types}",
        )
    data = request.get_data(cache=False)
    if max_bytes is None:
        _refuse_too_many_values(data)
    elif len(data) > max_bytes:
        raise Problem(Code.BODY_TOO_LARGE, f"more than {max_bytes:,} bytes")
    try:
        return body.model_validate_json(data)
    except ValidationError as error:
        raise describe_invalid_fields(error, body) from error


def _parse_form(request: Request, body: type[SearchBody]) -> SearchBody:
    texts = chain.from_iterable(request.form.listvalues())
    _refuse_too_many_values(",".join(texts).encode())
    values = _take_single_values(request.form)
    if "image" in values:
        raise _make_problem(
            "image", "send the picture as a file part, with a filename", PICTURE_EXPECTED
        )
    for name, uploads in request.files.lists():
        if name != "image":
            raise _make_problem(name, "not a file field; the picture's is called image", "image")
        if len(uploads) > 1:
            raise _make_problem(name, "given more than once", "it once")
        values[name] = uploads[0].read()
    return _parse_text(body, values)


def _take_single_values(given: MultiDict[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, several in given.lists():
        if name in _LISTS:
            values[name] = [item.strip() for one in several if one for item in one.split(",")]
        elif len(several) > 1:
            raise _make_problem(name, "given more than once", "it once")
        else:
            values[name] = several[0]
    return values


def _parse_text(
    body: type[ModelT], values: dict[str, Any], *, renamed: Mapping[str, str | None] | None = None
) -> ModelT:
    for name, of_any in _OBJECTS.items():
        if name in values and name in body.model_fields:
            model = fit(of_any, body.of_fields) if issubclass(body, OfFields) else of_any
            try:
                values[name] = model.model_validate_json(values[name])
            except ValidationError as error:
                raise describe_invalid_fields(error, model, prefix=name) from error
    for name in _JSON_LISTS:
        if name in values and name in body.model_fields:
            try:
                values[name] = from_json(values[name] or "[]")
            except ValueError as error:
                known = describe_expected(body, (name,))
                raise _make_problem(name, f"not JSON: {error}", known) from error
    try:
        # Numbers and booleans come as text here, so types are not strict.
        return body.model_validate(values, strict=False)
    except ValidationError as error:
        raise describe_invalid_fields(error, body, renamed=renamed) from error


def _refuse_too_many_values(data: bytes) -> None:
    """Refuse ``data``, JSON or comma-separated items, if it may have more than ``MAX_VALUES``.

    Each value follows a comma or an opening bracket, so these are counted, including those inside
    strings: telling them apart would take as long as parsing. A picture in base64 has none.
    """
    if data.count(b",") + data.count(b"[") + data.count(b"{") > MAX_VALUES:
        raise Problem(
            Code.BODY_TOO_LARGE, f"more than {MAX_VALUES:,} values: commas and opening brackets"
        )


def _make_problem(field: str, message: str, expected: str | None) -> Problem:
    field = shorten(field)
    return Problem(
        Code.VALIDATION_FAILED, f"not valid: {field}", errors=[FieldError(field, message, expected)]
    )
