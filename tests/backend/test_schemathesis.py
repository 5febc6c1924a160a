"""Schemathesis against the served API: no 5xx, and no answer that the document doesn't describe.

It reads the document, sends what it allows and what it forbids, and holds every answer to it:
status, media type, headers, body. The answers' schemas are closed for it, so that a field that
isn't described is found, too.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backend.catalogue import Catalogue
from tests.backend.served import ROOT, Served, publish_embedded
from twinlens.backend import examples
from twinlens.backend.app import ROUTES

KEY = "0123456789abcdef"


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[Served]:
    """A server that asks for a key, so that the checks of keys have something to check."""
    named = {
        video_id
        for request in examples.RECOMMENDATIONS.values()
        for field in ("liked", "disliked")
        for video_id in request.get(field, [])
    }
    catalogue = Catalogue(first_ids=sorted(named))
    data = publish_embedded(catalogue, tmp_path_factory.mktemp("schemathesis"))
    # An admin's, so that routes about people are open to it.
    with Served(data, api_keys=KEY, admin_keys=KEY) as served:
        yield served


def closed_document(served: Served) -> dict:
    """The document of a server, with no room for further fields in answers."""
    _, document = served.get("/openapi.json")
    for schema in document["components"]["schemas"].values():
        if schema.get("type") == "object":
            schema.setdefault("additionalProperties", False)
    _unroll_filters(document["components"]["schemas"])
    _tell_json_from_text(document["paths"])
    return document


def _leave_out_forms(document: dict) -> None:
    """Describe no forms: for its coverage Schemathesis 4.32 can't judge those with a picture."""
    for operation in (one for methods in document["paths"].values() for one in methods.values()):
        operation.get("requestBody", {}).get("content", {}).pop("multipart/form-data", None)


def _tell_json_from_text(paths: dict) -> None:
    """Say of text that holds JSON what it holds in the way that Schemathesis knows."""
    for operation in (one for methods in paths.values() for one in methods.values()):
        for parameter in operation["parameters"]:
            if (within := parameter["schema"].get("contentSchema")) is not None:
                del parameter["schema"]
                parameter["content"] = {"application/json": {"schema": within}}
                for example in parameter.get("examples", {}).values():
                    example["value"] = json.loads(example["value"])


def _unroll_filters(schemas: dict) -> None:
    """Let filters hold filters once: of a schema that holds itself no end of values is made."""
    plain = copy.deepcopy(schemas["FilterBody"])
    for name in ("and", "or", "not"):
        del plain["properties"][name]
    schemas["PlainFilter"] = plain
    text = json.dumps(schemas["FilterBody"])
    schemas["FilterBody"] = json.loads(text.replace("schemas/FilterBody", "schemas/PlainFilter"))


def run(
    served: Served, folder: Path, document: dict, *options: str, examples: int, phases: str
) -> tuple[dict, str]:
    """What Schemathesis did, by its own report, and what it has to say."""
    described = folder / "openapi.json"
    described.write_text(json.dumps(document))
    report = folder / "report.json"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", str(described)),
            *("--url", served.url, "--phases", phases),
            *("--max-examples", str(examples), "--generation-deterministic"),
            # Valid data may still name no video, or a cursor of nothing: the hooks look closer.
            *("--exclude-checks", "positive_data_acceptance"),
            # With the key; and then again without it, and with others: `ignored_auth`.
            *("--header", f"Authorization: Bearer {KEY}"),
            *("--request-timeout", "30", "--no-color", *options),
            *("--report", "json", "--report-json-path", str(report)),
        ],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "SCHEMATHESIS_HOOKS": "tests.backend.schemathesis_hooks",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert report.exists(), said
    return json.loads(report.read_text()), said


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("examples", "phases"),
    [
        (1, "examples,fuzzing"),
        # Coverage alone sends 14,000 requests.
        pytest.param(30, "examples,coverage,fuzzing,stateful", marks=pytest.mark.slow),
    ],
)
def test_no_answer_is_other_than_the_document_says(served, tmp_path, examples, phases):
    document = closed_document(served)
    if "coverage" in phases:
        _leave_out_forms(document)
    report, said = run(served, tmp_path, document, examples=examples, phases=phases)
    assert (report["exit_code"], report["failures"], report["errors"]) == (0, [], []), said
    assert report["complete"]
    assert report["operations"]["tested"] == len(ROUTES)
    # It got through to every route, and not only to what refuses.
    for operation, by_phase in report["valid_rates"].items():
        assert sum(phase["accepted"] for phase in by_phase.values()), operation


@pytest.mark.slow
def test_an_answer_with_a_field_more_than_the_document_says_is_found(served, tmp_path):
    document = closed_document(served)
    answer = document["components"]["schemas"]["SearchAnswer"]
    del answer["properties"]["took_ms"]
    answer["required"].remove("took_ms")
    only = ("--include-path", "/api/v1/search")
    report, said = run(served, tmp_path, document, *only, examples=1, phases="examples")
    assert report["exit_code"] == 1, said
    assert "took_ms" in said
