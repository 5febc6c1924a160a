"""Numbers at ``/metrics``, and a line in the log for each request."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.backend.served import Served, wait_until
from twinlens.stores.generations import DataDir


def value(text: str, name: str, **labels: str) -> float:
    samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
    [found] = [one.value for one in samples if (one.name, one.labels) == (name, labels)]
    return found


def test_requests_are_counted_by_route_method_and_status_and_the_generation_is_named(client_of):
    client = client_of()
    for path in ("beach-1", "beach-2", "none"):
        client.get(f"/api/v1/videos/{path}")
    client.get("/nowhere")
    client.open("/", method="BREW")
    text = client.get("/metrics").text
    route = "/api/v1/videos/<video_id>"
    assert value(text, "twinlens_requests_total", route=route, method="GET", status="200") == 2
    assert value(text, "twinlens_requests_total", route=route, method="GET", status="404") == 1
    assert value(text, "twinlens_requests_total", route="none", method="GET", status="404") == 1
    # What a caller makes up is no label of its own: there would be no end to them.
    assert "BREW" not in text
    assert value(text, "twinlens_request_seconds_count", route=route) == 3
    assert value(text, "twinlens_requests_in_flight") == 1  # the scrape itself
    assert value(text, "twinlens_requests_waiting") == 0
    assert value(text, "twinlens_ready") == 1
    assert value(text, "twinlens_generation_info", generation="g1", engine="embedded") == 1
    assert value(text, "twinlens_generation_videos", having="videos") == 31
    assert value(text, "twinlens_generation_videos", having="thumbnail") == 30
    assert value(text, "twinlens_generation_created_timestamp_seconds") == 1795219200


def test_every_stage_of_a_search_has_a_histogram(client_of):
    client = client_of()
    answer = client.get("/api/v1/search?q=kitchen").get_json()
    assert client.get("/api/v1/search?q=beach").status_code == 200
    text = client.get("/metrics").text
    for stage in ("encode", "search", "fuse", "serialise"):
        assert value(text, "twinlens_stage_seconds_count", stage=stage) == 2
        assert value(text, "twinlens_stage_seconds_bucket", stage=stage, le="+Inf") == 2
    spent = value(text, "twinlens_stage_seconds_sum", stage="search") * 1000
    assert spent >= answer["timings_ms"]["search"] > 0


def test_several_searches_apart_have_all_their_stages_and_so_has_one_that_fails(client_of, caplog):
    client = client_of()
    caplog.set_level(logging.INFO, "twinlens.backend.requests")
    failing = {"image": base64.b64encode(b"no picture").decode()}
    client.post("/api/v1/multi-search", json={"searches": [{"text": "kitchen"}, failing]})
    stages = line_of(caplog)["stages_ms"]
    assert {"encode", "search", "fuse", "fetch", "serialise"} <= stages.keys()
    caplog.clear()
    answer = client.post("/api/v1/multi-search", json={"searches": [failing]}).get_json()
    assert "encode" in answer["timings_ms"]
    assert {"encode", "serialise"} <= line_of(caplog)["stages_ms"].keys()
    caplog.clear()
    assert client.post("/api/v1/search", json=failing).status_code == 422
    assert "encode" in line_of(caplog)["stages_ms"]
    assert value(client.get("/metrics").text, "twinlens_stage_seconds_count", stage="encode") == 3


def test_without_an_index_the_metrics_are_there_all_the_same(client_of, tmp_path):
    client = client_of(data=DataDir(tmp_path))
    assert client.get("/api/v1/stats").status_code == 503
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert value(answer.text, "twinlens_ready") == 0


def test_open_metrics_are_spoken_with_those_who_ask_for_them(client):
    assert client.get("/metrics").content_type.startswith("text/plain")
    answer = client.get("/metrics", headers={"Accept": "application/openmetrics-text"})
    assert answer.content_type.startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


def line_of(caplog) -> dict:
    [record] = [one for one in caplog.records if one.name == "twinlens.backend.requests"]
    return record.__dict__


def test_the_log_has_what_an_operator_asks_for_and_not_what_was_searched(client_of, caplog):
    client = client_of()
    caplog.set_level(logging.INFO, "twinlens.backend.requests")
    client.get("/api/v1/search?q=my+own+secret", headers={"X-Request-Id": "r1"})
    line = line_of(caplog)
    assert (line["method"], line["route"], line["status"]) == ("GET", "/api/v1/search", 200)
    assert line["request_id"] == "r1"
    assert {"encode", "search", "fuse", "serialise"} <= line["stages_ms"].keys()
    assert line["took_ms"] >= sum(line["stages_ms"].values()) > 0
    assert "secret" not in str(line)


def test_the_words_are_logged_where_the_operator_wants_them(client_of, caplog):
    client = client_of(log_queries=True)
    caplog.set_level(logging.INFO, "twinlens.backend.requests")
    client.post("/api/v1/search", json={"text": "my own words"})
    assert line_of(caplog)["query"] == "my own words"
    caplog.clear()
    client.get("/api/v1/search?q=my+own+words")
    assert line_of(caplog)["query"] == "my own words"


def test_an_error_is_logged_with_its_code_and_a_probe_only_if_it_fails(client_of, caplog):
    client = client_of()
    caplog.set_level(logging.INFO, "twinlens.backend.requests")
    client.get("/healthz")
    client.get("/metrics")
    client.get("/api/v1/videos/none%0aINFO forged")
    line = line_of(caplog)
    assert (line["status"], line["code"]) == (404, "video_not_found")
    assert "\n" not in line["message"]


@pytest.fixture(scope="module")
def two_processes(embedded) -> Iterator[Served]:
    with Served(embedded, "--workers", "2") as served:
        yield served


def process_ids(served: Served) -> set[int]:
    return {json.loads(line)["process"] for line in served.log().splitlines() if '"route"' in line}


def test_two_processes_count_as_one(two_processes):
    answers: list[object] = []

    def both_have_answered() -> bool:
        with ThreadPoolExecutor(8) as callers:
            answers.extend(callers.map(two_processes.get, ["/api/v1/search?q=kitchen"] * 8))
        return len(process_ids(two_processes)) == 2

    wait_until(both_have_answered, seconds=30)
    for _ in range(6):  # whichever of them is asked
        _, _, body = two_processes.ask("GET", "/metrics")
        text = body.decode()
        labels = {"route": "/api/v1/search", "method": "GET", "status": "200"}
        assert value(text, "twinlens_requests_total", **labels) == len(answers)
        assert value(text, "twinlens_stage_seconds_count", stage="encode") == len(answers)
        assert value(text, "twinlens_requests_in_flight") == 1
        assert value(text, "twinlens_generation_info", generation="g1", engine="embedded") == 1


def test_every_line_of_the_log_is_json(two_processes):
    two_processes.ask("GET", "/api/v1/videos/caf%C3%A9", headers={"X-Request-Id": "mine"})
    lines = [json.loads(line) for line in two_processes.log().splitlines()]
    [line] = [one for one in lines if one.get("request_id") == "mine"]
    assert line["path"] == "/api/v1/videos/café"
    assert line["level"] == "INFO"
    assert line["time"].endswith("+00:00")
    assert line["stages_ms"].keys() == {"wait"}
