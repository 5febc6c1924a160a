"""The OpenAPI document: valid, whole, and true of the routes; its examples true of its schemas."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import ValidationError

from twinlens.backend.app import ROUTES
from twinlens.backend.examples import EVENTS
from twinlens.backend.openapi import describe_api
from twinlens.backend.problem_kinds import KINDS, Code
from twinlens.backend.schemas.fitting import fit
from twinlens.backend.schemas.requests import SearchBody
from twinlens.catalog.fields import FIELDS

DOCUMENT = describe_api(ROUTES, FIELDS)
# Served, and no part of the API: the page, its files, and the documentation.
PAGES = {
    "/",
    "/static/{filename}",
    "/static/client.d.ts",
    "/docs",
    "/docs/assets/{name}",
    "/docs/errors",
    "/openapi.json",
}
OPERATIONS = [
    pytest.param(path, method, operation, id=operation["operationId"])
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]
each_operation = pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    """Of a schema inside the document, whose references lead to the document."""
    return Draft202012Validator(
        schema | {"components": DOCUMENT["components"]},
        format_checker=Draft202012Validator.FORMAT_CHECKER,
    )


def media_types(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Whatever has a schema and examples: the body, the answers, parameters that are JSON."""
    yield from operation.get("requestBody", {}).get("content", {}).values()
    for response in operation["responses"].values():
        yield from response.get("content", {}).values()
    yield from operation["parameters"]


def examples(described: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    if "example" in described:
        yield "example", described["example"]
    for name, example in described.get("examples", {}).items():
        if "$ref" in example:
            example = DOCUMENT["components"]["examples"][example["$ref"].rpartition("/")[2]]
        yield name, example["value"]


def test_the_served_document_is_the_documents(client):
    answer = client.get("/openapi.json")
    assert answer.content_type == "application/json"
    assert answer.get_json() == json.loads(json.dumps(DOCUMENT))
    again = client.get("/openapi.json", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


def test_it_is_valid_openapi():
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert list(OpenAPIV31SpecValidator(DOCUMENT).iter_errors()) == []
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_every_route_is_in_it_and_nothing_else(client):
    served = set()
    for rule in client.application.url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        served |= {(method.lower(), path) for method in rule.methods - {"HEAD", "OPTIONS"}}
    pages = {("get", path) for path in PAGES}
    described = {
        (method, path) for path, methods in DOCUMENT["paths"].items() for method in methods
    }
    assert pages <= served
    assert described == served - pages


KEY = "a-key-0123456789"
# Fields of HTTP itself, and those that tell a browser what it may do with any answer.
OF_HTTP = {"Content-Type", "Content-Length", "Vary"}
FOR_BROWSERS = {
    "Content-Security-Policy",
    "Cross-Origin-Opener-Policy",
    "Cross-Origin-Resource-Policy",
    "Permissions-Policy",
    "Referrer-Policy",
    "X-Content-Type-Options",
}


@each_operation
def test_every_header_of_an_answer_is_described_and_what_is_required_is_there(
    client_of, path, method, operation
):
    client = client_of(api_keys=(KEY,), admin_keys=(KEY,), rate_limit=9)
    seen = set()

    def ask(query: str = "", *, key: str | None = KEY, **options: Any) -> Any:
        target = re.sub(r"\{\w+\}", "beach-1", path) + query
        headers = options.pop("headers", {}) | ({"X-API-Key": key} if key else {})
        answer = client.open(target, method=method.upper(), headers=headers, **options)
        status = str(answer.status_code)
        described = operation["responses"][status]["headers"]
        assert set(answer.headers.keys()) - OF_HTTP - FOR_BROWSERS <= set(described), status
        for name in described:
            if DOCUMENT["components"]["headers"][name]["required"]:
                assert name in answer.headers, status
        seen.add(status)
        return answer

    body = {
        "search": {"text": "kitchen"},
        "multiSearch": {"searches": [{"text": "kitchen"}, {"text": "beach"}]},
        "recommendations": {"liked": ["beach-1"]},
        "lookup": {"video_ids": ["beach-1"]},
        "feed": {"events": []},
        "events": next(iter(EVENTS.values())),
        "mergePerson": {"into": "beach-2"},
    }.get(operation["operationId"])
    if body is not None:
        ask(json=body)
        ask(data=b"{", content_type="application/json")
        ask(data=b"{", content_type="text/plain")
        ask(data=b"{", headers={"Content-Encoding": "gzip"})
        assert {"200", "400", "415"} <= seen
    else:
        query = "?q=kitchen" if operation["operationId"] == "searchByQuery" else ""
        tag = ask(query).headers.get("ETag")
        if tag is not None:
            ask(query, headers={"If-None-Match": tag})
        if operation["operationId"] == "browse":
            assert "ETag" not in ask("?order=random").headers
        assert ("304" in seen) == ("304" in operation["responses"])
        assert "200" in seen
    if "422" in operation["responses"]:
        ask("?unknown=1")
        assert "422" in seen
    if "401" in operation["responses"]:
        for _ in range(10):
            answer = ask(key=None)
        assert answer.status_code == 429
        assert {"RateLimit", "RateLimit-Policy"} <= set(answer.headers.keys())
        assert "401" in seen


def test_every_name_is_of_one_operation_and_every_code_of_some():
    assert len({route.name for route in ROUTES}) == len(ROUTES)
    answerable = {code for route in ROUTES for code in route.codes}
    # A method that the document doesn't name is no operation of it.
    assert answerable == set(Code) - {Code.METHOD_NOT_ALLOWED}
    assert set(DOCUMENT["components"]["schemas"]["Code"]["enum"]) == set(Code)
    assert set(DOCUMENT["components"]["examples"]) == set(Code)


@each_operation
def test_every_operation_is_said_in_words_and_shown_in_examples(path, method, operation):
    assert operation["summary"]
    for parameter in operation.get("parameters", []):
        assert parameter["description"].strip(), parameter["name"]
    for described in media_types(operation):
        for name, value in examples(described):
            errors = list(validator(described["schema"]).iter_errors(value))
            assert errors == [], (name, errors[0].message)
            if (within := described["schema"].get("contentSchema")) is not None:
                assert validator(within).is_valid(json.loads(value)), name
    for body in (operation["responses"]["200"], operation.get("requestBody", {})):
        if "application/json" in body.get("content", {}):
            assert list(examples(body["content"]["application/json"]))


@each_operation
def test_every_error_has_its_status_its_schema_and_an_example(path, method, operation):
    route = next(one for one in ROUTES if (one.template, one.method) == (path, method))
    shown = set()
    for status, response in operation["responses"].items():
        assert "X-Request-Id" in response["headers"]
        if int(status) < 400:
            continue
        assert set(response["content"]) == {"application/problem+json"}
        content = response["content"]["application/problem+json"]
        assert content["schema"] == {"$ref": "#/components/schemas/ProblemBody"}
        codes = set(content["examples"])
        assert all(str(KINDS[Code(code)].status) == status for code in codes)
        assert all(f"`{code}`" in response["description"] for code in codes)
        shown |= {Code(code) for code in codes}
    assert shown == set(route.codes)


@pytest.mark.parametrize(
    "name", ["SearchAnswer", "HitBody", "VideoAnswer", "StatsAnswer", "FeedAnswer"]
)
def test_every_field_of_an_answer_is_shown_in_some_example(name):
    def part(answer: dict[str, Any]) -> dict[str, Any]:
        return answer.get("hits", [{}])[0] if name == "HitBody" else answer

    shown = {
        key
        for methods in DOCUMENT["paths"].values()
        for operation in methods.values()
        for content in operation["responses"]["200"]["content"].values()
        for _, answer in examples(content)
        for key in part(answer)
    }
    assert set(DOCUMENT["components"]["schemas"][name]["properties"]) <= shown


def test_generators_of_clients_meet_nothing_that_they_misread():
    """What broke clients: branches beside fields, defaults, and a JSON parameter as content."""
    waiting: list[Any] = [DOCUMENT["paths"], DOCUMENT["components"]["schemas"]]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if isinstance(part.get("properties"), dict):
                assert not {"anyOf", "oneOf", "allOf"} & set(part)
                if "description" in part:  # else a rule between fields
                    assert not [name for name, of in part["properties"].items() if "default" in of]
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
    for methods in DOCUMENT["paths"].values():
        for operation in methods.values():
            assert all("content" not in one for one in operation["parameters"])


def test_every_field_is_said_in_words():
    for name, schema in DOCUMENT["components"]["schemas"].items():
        assert schema["description"], name
        assert "title" not in schema
        for field, described in schema.get("properties", {}).items():
            assert described.get("description"), (name, field)


# The odd ones: test_schemathesis has the rest.
VALID = [
    {"text": "film", "image": None, "cursor": None, "filter": None},
    {"video_id": "x", "weights": {"title": 0, "words": 0}},
    {"text": "film", "filter": {"published_at": {"gte": "2024-01-01T00:00:00Z", "lt": None}}},
    {"text": "film", "filter": {"published_at": {"gte": "2024-01-01"}, "has_thumbnail": False}},
    {"text": "film", "cursor": ""},
    {"text": "film", "facets": ["tags"], "facet_query": {"tags": "n"}, "disjunctive_facets": True},
    {"text": " \u00a0film\n", "limit": 100, "rrf_k": 0, "explain": True},
    {"text": "film", "limit": 5.0, "window": 1e2},
    {"image": "aGk="},
]
NOT_VALID = [
    *({}, {"text": None}, {"text": " \t\x00 \x85"}, {"image": "aGk"}, {"image": "not base64"}),
    *({"text": "film", **more} for more in ({"limit": "5"}, {"limit": 5.5}, {"explain": 1})),
    {"text": "film", "weights": {"title": 0, "words": 0, "thumbnail": 0}},
    {"text": "film", "filter": {"view_count": {"gte": None}}},
    {"text": "film", "facets": ["tags"], "facet_query": {"tags": ""}},
    {"text": "film", "facets": ["view_count"], "facet_query": {"view_count": "n"}},
    {"text": "film", "filter": {"published_at": {"gte": "2024-02-30"}}},
    {"text": "film", "filter": {"published_at": {"gte": "2024-01-01 "}}},
    {"text": "film", "filter": {"has_thumbnail": 1}},
    {"text": "film", "filter": {"published_at": {"gte": "0999-01-01T00:00:00Z"}}},
]


@pytest.mark.parametrize(
    ("body", "valid"), [*((body, True) for body in VALID), *((body, False) for body in NOT_VALID)]
)
def test_the_schema_and_the_server_call_the_same_valid(body, valid):
    schema = validator({"$ref": "#/components/schemas/SearchBody"})
    assert schema.is_valid(body) is valid
    with nullcontext() if valid else pytest.raises(ValidationError):
        fit(SearchBody, FIELDS).model_validate_json(json.dumps(body))
