"""The OpenAPI 3.1 document of the routes that views declare.

Each route says which models it reads and writes and which errors it can answer; the schemas are
pydantic's own, of the very models that validate requests and shape answers.
"""

from __future__ import annotations

import copy
import importlib.metadata
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from twinlens.backend import examples
from twinlens.backend.parsing import GET_NAMES, PICTURES
from twinlens.backend.people import PERSON_HEADER
from twinlens.backend.problem_kinds import ERRORS_PAGE, KINDS, Code, Kind
from twinlens.backend.problems import ProblemBody
from twinlens.backend.routes import Route
from twinlens.backend.schemas.base import API_ROOT
from twinlens.backend.schemas.fitting import fit
from twinlens.catalog.fields import Fields
from twinlens.catalog.video import MAX_VIDEO_ID_LENGTH

Json = dict[str, Any]
_REF: Final = "#/components/schemas/"
_SAID: Final = (bool, int, float, str)
_TAGS: Final[Mapping[str, str]] = {
    "search": "Find videos by words, by a picture, by a video, or by several of these.",
    "videos": "All videos, and what is known of each.",
    "recommendations": "What a person may want to watch next.",
    "events": "What people do, for the feed to learn from; and what is kept of each of them.",
    "operation": "For those who run the server.",
}


def describe_api(
    routes: Sequence[Route],
    fields: Fields,
    *,
    key_to_read: bool = False,
    key_to_administrate: bool = False,
    prefix: str = "",
) -> Json:
    """Return the document of ``routes``, as JSON values, for videos that have ``fields``.

    The two flags say which routes need a key. Callers put ``prefix`` before every path.
    """
    schemas, names = _make_schemas(routes, fields)
    document: Json = {
        "openapi": "3.1.1",
        "info": {
            "title": "TwinLens",
            "version": importlib.metadata.version("twinlens"),
            "description": "Search and recommendation for videos: by words, a picture or "
            "other videos.\n\nOf people the server keeps the events that it is sent and nothing "
            "else; it never fetches a URL "
            "that a caller names. Every error is a problem document: "
            f"[all codes]({prefix}{ERRORS_PAGE}).",
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
        },
        **({"servers": [{"url": prefix}]} if prefix else {}),
        "tags": [{"name": name, "description": said} for name, said in _TAGS.items()],
        "paths": {},
        "components": {
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A key, where the operator of the server has set some.",
                },
                "header": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-API-Key",
                    "description": "The same in a header of its own.",
                },
                "person": {
                    "type": "apiKey",
                    "in": "header",
                    "name": PERSON_HEADER,
                    "description": "That the site vouches for a person: `EXPIRES.SIGNATURE`, where "
                    "the operator has set `person_secret`.",
                },
            },
            "schemas": schemas,
            "headers": _HEADERS,
            "examples": {
                code.value: {
                    "summary": kind.title,
                    "value": make_problem_example(code, kind, prefix),
                }
                for code, kind in KINDS.items()
            },
        },
    }
    for route in routes:
        path = document["paths"].setdefault(route.template, {})
        operation = _describe_operation(route, schemas, names)
        keys: list[Json] = [{"bearer": []}, {"header": []}]  # either will do
        if "person_id" in route.template:
            keys.append({"person": []})
        elif Code.UNAUTHORIZED not in route.codes or not (
            key_to_read if route.path.startswith(API_ROOT) else key_to_administrate
        ):
            keys = []
        path[route.method] = operation | {"security": keys}
    _drop_unused_schemas(document)
    _say_defaults(document["components"]["schemas"])
    return document


def make_problem_example(code: Code, kind: Kind, prefix: str) -> Json:
    """Return a problem of this code, as it could be answered."""
    return ProblemBody(
        type=f"{prefix}{ERRORS_PAGE}#{code}",
        title=kind.title,
        status=kind.status,
        code=code,
        detail=examples.DETAILS.get(code, kind.cause.replace("`", "")),
        request_id=examples.REQUEST_ID,
        errors=examples.FIELD_ERRORS.get(code),
    ).model_dump(mode="json", exclude_none=True)


# ---- operations


def _describe_operation(route: Route, schemas: Json, names: Mapping[type[BaseModel], str]) -> Json:
    operation: Json = {"operationId": route.name, "tags": [route.tag], "summary": route.summary}
    if route.description:
        operation["description"] = route.description
    parameters = [_PATH_PARAMETERS[name] for name in re.findall(r"\{(\w+)\}", route.template)]
    if route.query is not None:
        properties = schemas[names[route.query]]["properties"]
        parameters += [
            _describe_parameter(called, schema, schemas, route.requests)
            for name, schema in properties.items()
            if (called := GET_NAMES.get(name, name)) is not None
        ]
    operation["parameters"] = [*parameters, _REQUEST_ID]
    if route.body is not None:
        operation["requestBody"] = _describe_body(route, schemas, names[route.body])
    operation["responses"] = responses = {"200": _describe_success(route, names)}
    if route.not_modified:
        responses["304"] = {
            "description": "Not modified: `If-None-Match` names what the caller has.",
            "headers": _refer_to_headers("ETag"),
        }
    for status in sorted({KINDS[code].status for code in route.codes}):
        codes = [code for code in route.codes if KINDS[code].status == status]
        responses[str(status)] = _describe_failure(status, codes)
    everywhere = ["X-Request-Id", "Cache-Control"]
    if Code.RATE_LIMITED in route.codes:
        everywhere += ["RateLimit", "RateLimit-Policy"]
    for response in responses.values():
        response["headers"] = _refer_to_headers(*everywhere) | response["headers"]
    return operation


def _describe_parameter(
    called: str, schema: Json, schemas: Json, requests: Mapping[str, Json]
) -> Json:
    """Return a model's field as a query parameter: objects as JSON text, never null."""
    schema = _drop_null(schema)
    parameter: Json = {
        "name": called,
        "in": "query",
        "description": schema.pop("description"),
        "required": False,
    }
    shown = {
        title: {"value": given[called]} for title, given in requests.items() if called in given
    }
    if _is_object(schema, schemas):
        # Not as `content`, which few generators know, and some clients send wrongly.
        schema = {"type": "string", "contentMediaType": "application/json", "contentSchema": schema}
        shown = {title: {"value": json.dumps(one["value"])} for title, one in shown.items()}
    if schema.get("type") == "array":
        parameter |= {"style": "form", "explode": False}
    parameter["schema"] = schema
    if shown:
        parameter["examples"] = shown
    return parameter


def _describe_body(route: Route, schemas: Json, name: str) -> Json:
    content: Json = {
        "application/json": {
            "schema": {"$ref": _REF + name},
            "examples": {title: {"value": given} for title, given in route.requests.items()},
        }
    }
    if route.upload is not None:
        content["multipart/form-data"] = _describe_form(schemas, schemas[name], route.upload)
    return {"required": True, "content": content}


def _describe_form(schemas: Json, schema: Json, upload: str) -> Json:
    """Return a model as a multipart form: one field is a file, objects are JSON, none is null."""
    form = copy.deepcopy(schema)
    encoding: Json = {}
    for name, given in form["properties"].items():
        form["properties"][name] = _drop_null(given)
        if name == upload:
            form["properties"][name] = {
                "type": "string",
                "format": "binary",
                "description": given["description"],
            }
            encoding[name] = {"contentType": ", ".join(PICTURES)}
        elif _is_object(form["properties"][name], schemas):
            encoding[name] = {"contentType": "application/json"}
    _say_defaults(form)
    return {"schema": form, "encoding": encoding}


def _describe_success(route: Route, names: Mapping[type[BaseModel], str]) -> Json:
    headers = _refer_to_headers("ETag") if route.not_modified else {}
    if route.media_types:
        return {
            "description": route.summary,
            "headers": headers,
            "content": {
                media_type: {"schema": {"type": "string"} | _list_format(media_type)}
                for media_type in route.media_types
            },
        }
    schemas = [{"$ref": _REF + names[model]} for model in route.answer_models]
    return {
        "description": route.summary,
        "headers": headers,
        "content": {
            "application/json": {
                "schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas},
                "examples": {title: {"value": given} for title, given in route.answers.items()},
            }
        },
    }


def _list_format(media_type: str) -> Json:
    return {"format": "binary"} if media_type.startswith("image/") else {}


def _describe_failure(status: int, codes: Sequence[Code]) -> Json:
    headers = []
    if status in {KINDS[Code.NOT_READY].status, KINDS[Code.RATE_LIMITED].status}:
        headers.append("Retry-After")
    if status == KINDS[Code.UNAUTHORIZED].status:
        headers.append("WWW-Authenticate")
    if status == KINDS[Code.UNSUPPORTED_MEDIA_TYPE].status:
        headers.append("Accept-Encoding")
    return {
        "description": "\n".join(f"- `{code}`: {KINDS[code].cause}" for code in codes),
        "headers": _refer_to_headers(*headers),
        "content": {
            "application/problem+json": {
                "schema": {"$ref": _REF + ProblemBody.__name__},
                "examples": {
                    code.value: {"$ref": f"#/components/examples/{code}"} for code in codes
                },
            }
        },
    }


def _refer_to_headers(*names: str) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


_HEADERS: Final[Json] = {
    "X-Request-Id": {
        "description": "The request's id; one that the caller sent is kept.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"},
    },
    "Retry-After": {
        "description": "Seconds after which to try again.",
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
    },
    "RateLimit": {
        "description": "What is left of the caller's allowance, `r`, and the seconds, `t`, after "
        "which it is whole again. With every answer that is counted, where the operator has set a "
        "limit.",
        "required": False,
        "schema": {"type": "string", "pattern": '^"default";r=[0-9]+;t=[0-9]+$'},
    },
    "RateLimit-Policy": {
        "description": "The allowance: `q` requests in `w` seconds; there when `RateLimit` is.",
        "required": False,
        "schema": {"type": "string", "pattern": '^"default";q=[0-9]+;w=[0-9]+$'},
    },
    "WWW-Authenticate": {
        "description": "What kind of key is asked for.",
        "required": True,
        "schema": {"type": "string"},
    },
    "Accept-Encoding": {
        "description": "How a body may be encoded: not at all; there when it came compressed.",
        "required": False,
        "schema": {"type": "string"},
    },
    "ETag": {
        "description": "Changes with what is answered; send it back as `If-None-Match`. Absent "
        "where the same request may be answered otherwise: in random order without a `seed`, and "
        "for the moment in which another index is published.",
        "required": False,
        "schema": {"type": "string"},
    },
    "Cache-Control": {
        "description": "How long the answer may be kept.",
        "required": True,
        "schema": {"type": "string"},
    },
}


def _describe_id(name: str, said: str, example: str) -> Json:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": f"{said}, percent-encoded.",
        "schema": {
            "type": "string",
            "minLength": 1,
            "maxLength": MAX_VIDEO_ID_LENGTH,
            "pattern": r"^(?!\.{1,2}$)[^/\u0000-\u001f\u007f-\u009f]+$",
        },
        "example": example,
    }


_PATH_PARAMETERS: Final[Mapping[str, Json]] = {
    "video_id": _describe_id("video_id", "The video's id", examples.VIDEO_ID),
    "person_id": _describe_id("person_id", "The person's id", examples.PERSON_ID),
    "event_id": _describe_id("event_id", "The event's id", examples.EVENT_ID),
}


_REQUEST_ID: Final[Json] = {
    "name": "X-Request-Id",
    "in": "header",
    "required": False,
    "description": "A name for the request, which its answer and the server's log then have: at "
    "most 128 letters, digits, `.`, `_` and `-`. One of other characters is replaced.",
    "schema": {"type": "string"},
}


# ---- schemas


def _make_schemas(
    routes: Sequence[Route], fields: Fields
) -> tuple[Json, Mapping[type[BaseModel], str]]:
    """Return the schemas of all models by name, and the name of each model that a route uses."""
    wanted: dict[type[BaseModel], Literal["validation", "serialization"]] = {
        ProblemBody: "serialization"
    }
    for route in routes:
        for model in (route.query, route.body):
            if model is not None:
                wanted[model] = "validation"
        wanted |= dict.fromkeys(route.answer_models, "serialization")
    fitted = {model: fit(model, fields) for model in wanted}
    places, definitions = models_json_schema(
        [(fitted[model], mode) for model, mode in wanted.items()], ref_template=_REF + "{model}"
    )
    schemas: Json = definitions["$defs"]
    names = {
        model: places[fitted[model], mode]["$ref"].removeprefix(_REF)
        for model, mode in wanted.items()
    }
    for model, name in names.items():
        # A model's own fields before those that it inherits: what to search by, then options.
        properties = schemas[name]["properties"]
        own = [one for one in properties if one in model.__annotations__]
        schemas[name]["properties"] = {one: properties[one] for one in [*own, *properties]}
    for schema in schemas.values():
        _tidy(schema)
    return schemas, names


def _tidy(schema: Any, *, is_schema: bool = True) -> None:
    """Drop what says nothing: titles made from names, defaults that are null."""
    if isinstance(schema, list):
        for one in schema:
            _tidy(one)
        return
    if not isinstance(schema, dict):
        return
    if is_schema:
        schema.pop("title", None)
        if schema.get("default", ...) is None:
            del schema["default"]
        if "description" in schema:
            said = schema["description"].replace("``", "`")
            schema["description"] = re.sub(r"(?<!\n)\n(?!\n)", " ", said)
    for key, value in schema.items():
        if key not in {"default", "const", "enum", "examples"}:
            # The keys of `properties` are names, of which one may be `title`.
            _tidy(value, is_schema=not (is_schema and key in {"properties", "$defs"}))


def _say_defaults(part: Any) -> None:
    """Say the defaults of fields in words.

    What has a ``default`` is always there for some generators of clients, in what they send too.
    """
    if isinstance(part, dict):
        is_schema = isinstance(part.get("description"), str)  # and not its fields by name
        if is_schema and isinstance(default := part.pop("default", None), _SAID):
            part["description"] += f" {json.dumps(default)} by default."
        for one in part.values():
            _say_defaults(one)
    elif isinstance(part, list):
        for one in part:
            _say_defaults(one)


def _drop_null(schema: Json) -> Json:
    """Return a copy of ``schema`` that does not accept null."""
    schema = copy.deepcopy(schema)
    if "anyOf" in schema:
        kept = [one for one in schema["anyOf"] if one != {"type": "null"}]
        if len(kept) > 1:
            schema["anyOf"] = kept
        else:
            del schema["anyOf"]
            schema |= kept[0]
    return schema


def _is_object(schema: Json, schemas: Json) -> bool:
    """Return whether values are JSON where there is only text: objects, and lists of them."""
    if "$ref" in schema:
        return _is_object(schemas[schema["$ref"].removeprefix(_REF)], schemas)
    if schema.get("type") == "array":
        return _is_object(schema["items"], schemas)
    return schema.get("type") == "object"


def _drop_unused_schemas(document: Json) -> None:
    """Drop the schemas of models that are query strings only: their fields are parameters."""
    schemas = document["components"]["schemas"]
    used: set[str] = set()
    waiting = [*_find_references(document["paths"])]
    while waiting:
        name = waiting.pop()
        if name not in used:
            used.add(name)
            waiting += _find_references(schemas[name])
    document["components"]["schemas"] = {name: schemas[name] for name in sorted(used)}


def _find_references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "$ref" and isinstance(value, str) and value.startswith(_REF):
                yield value.removeprefix(_REF)
            else:
                yield from _find_references(value)
    elif isinstance(part, list):
        for one in part:
            yield from _find_references(one)
