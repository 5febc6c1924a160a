"""What Schemathesis can't know of this API; read by its command in ``test_schemathesis``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import schemathesis
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.generation.jsonschema import strategy as drawing
from schemathesis.transport.serialization import contains_binary

# Codes that say: the request has not the form that the document asks for.
ABOUT_FORM = {
    "bad_request",
    "body_too_large",
    "json_invalid",
    "unsupported_media_type",
    "validation_failed",
}
# Rules between fields, and with what is kept: a document of OpenAPI has no way to say them.
BETWEEN_FIELDS = (
    "nothing to search by",
    "is both liked and disliked",
    "either sorted or in random order",
    "only a random order has a seed",
    "hits are either sorted or diversified",
    "phrases in quotes and words to leave out",
    "a number takes neither",
    "a moment takes half_life_days",
    "a keyword takes a value",
    "only with fuse",
    "with fuse, give it beside searches",
    "at least one weight must be above 0",
    "deep; at most",
    "conditions in all; at most",
    "together more than",
    "is not among facets",
    "no word in it",
    "written out (NFKC)",
    "over five minutes ahead",
    "known, of an event that says something else",
)

try:
    # Private, so any version may drop it; seen in 4.32.
    _validator = drawing._validator
except AttributeError as error:
    raise RuntimeError(
        "this Schemathesis has no generation.jsonschema.strategy._validator, which these hooks of"
        " 4.32 stand in for: see whether it now draws files by itself, and drop the stand-in"
    ) from error


def _validator_that_passes_files(schema: Any) -> Callable[[Any], bool]:
    """What Schemathesis judges its own values by, but for files, which it passes elsewhere.

    Here it forgets to, and breaks off when it draws one: "Unsupported type: 'Binary'".
    """
    is_valid = _validator(schema)
    return lambda value: contains_binary(value) or is_valid(value)


drawing._validator = _validator_that_passes_files


@schemathesis.hook
def before_call(context, case, kwargs):
    """Drop cursors from valid requests: one made up would end each of them at the cursor."""
    if case.meta is not None and case.meta.generation.mode.is_positive:
        for part in (case.query, case.body):
            if isinstance(part, dict):
                part.pop("cursor", None)
        if case.operation.definition.raw.get("operationId") == "browse":
            # A random order is not sorted, and only it has a seed.
            case.query.pop("sort" if case.query.get("order") == "random" else "seed", None)


@schemathesis.check
def accepts_what_is_valid(context, response, case):
    """Hold the server to taking what the document calls valid, as far as form goes."""
    if response.status_code < 400 or case.meta is None or case.meta.generation.mode.is_negative:
        return
    problem = response.json()
    between = any(rule in response.text for rule in BETWEEN_FIELDS)
    if problem["code"] in ABOUT_FORM and not between:
        raise AssertionError(f"refused what is valid: {problem}")


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Drop complaints of invalid data taken that are not sound.

    A form with a file in it is taken for invalid: Schemathesis can't check a file against a schema,
    and a list of one looks like a single value. (``test_bad_requests`` has what forms are refused
    for.)
    And a request line or a head that is too long is refused before anything else is looked at.
    Of events those that are not valid are named, and the others taken.
    """
    is_form = case.media_type == "multipart/form-data"
    refused_before = response.status_code in {414, 431}
    named = response.status_code == 200 and bool(response.json().get("rejected"))
    return not (isinstance(failure, AcceptedNegativeData) and (is_form or refused_before or named))
