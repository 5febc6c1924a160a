"""What Prometheus and Grafana are told: that it is valid, and asks for nothing that isn't there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tests.backend.conftest import ClientOf, catalogue, client_of, data
from tests.docker.files import ROOT, compose
from twinlens.indexer.job import IndexJob, JobOptions
from twinlens.indexer.metrics import JobMetrics
from twinlens.stores.engines import EmbeddedEngine
from twinlens.stores.generations import DataDir

__all__ = ["catalogue", "client_of", "data"]  # fixtures

FOLDER = ROOT / "deploy" / "prometheus"
GRAFANA = ROOT / "deploy" / "grafana"
SERVICES = compose()["services"]
NEEDS_PROMTOOL = pytest.mark.skipif(
    shutil.which("promtool") is None and "TWINLENS_TEST_REQUIRE_PROMTOOL" not in os.environ,
    reason="needs promtool",
)

# Source: https://qdrant.tech/documentation/guides/monitoring/, metrics of a node, without those of
# hardware; version 1.16 and newer.
QDRANT_NAMES = """
app_info app_status_recovery_mode collections_total collection_points collection_vectors
collections_vector_total collection_indexed_only_excluded_points collection_active_replicas_min
collection_active_replicas_max collection_dead_replicas collection_running_optimizations
snapshot_creation_running snapshot_recovery_running snapshot_created_total rest_responses_total
rest_responses_fail_total rest_responses_duration_seconds_bucket
rest_responses_duration_seconds_sum rest_responses_duration_seconds_count grpc_responses_total
grpc_responses_fail_total grpc_responses_duration_seconds_bucket
grpc_responses_duration_seconds_sum grpc_responses_duration_seconds_count memory_active_bytes
memory_allocated_bytes memory_metadata_bytes memory_resident_bytes memory_retained_bytes
process_threads process_open_mmaps system_max_mmaps process_open_fds process_max_fds
process_minor_page_faults_total process_major_page_faults_total cluster_enabled
cluster_peers_total cluster_term cluster_commit cluster_pending_operations_total cluster_voter
"""
# Source: node_exporter's collectors `textfile` and `filesystem`; `up` is Prometheus' own.
OTHERS = {
    "node_textfile_mtime_seconds",
    "node_filesystem_avail_bytes",
    "node_filesystem_size_bytes",
    "up",
}


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


RULES = [rule for group in read(FOLDER / "alerts.yml")["groups"] for rule in group["rules"]]
[BOARD] = [json.loads(path.read_text()) for path in (GRAFANA / "dashboards").glob("*.json")]
QUERIES = [target["expr"] for panel in BOARD["panels"] for target in panel["targets"]]
ASKED = [rule["expr"] for rule in RULES] + QUERIES


def metric_names(query: str) -> set[str]:
    """The metrics that a query of PromQL names."""
    grouping = r"\b(?:by|without|on|ignoring|group_left|group_right)\s*(?:\([^)]*\))?"
    bare = re.sub(rf'"[^"]*"|\{{[^}}]*\}}|\[[^\]]*\]|{grouping}', " ", query)
    words = re.findall(r"\b[a-z_:][\w:]*\b(?!\s*\()", bare)
    return set(words) - {"and", "or", "unless", "bool", "offset"}


def promtool(*arguments: object) -> None:
    done = subprocess.run(
        ["promtool", *map(str, arguments)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def there(client_of: ClientOf, data: DataDir) -> set[str]:
    """The names of all metrics that Prometheus gets."""
    client = client_of()
    client.get("/api/v1/search?q=kitchen")
    # Without keys, Prometheus sends the empty one that docker-compose.yml gives it.
    served = client.get("/metrics", headers={"Authorization": "Bearer "})
    assert served.status_code == 200
    metrics = JobMetrics(data.path / "index.prom")
    with metrics:
        metrics.follow(IndexJob(data, EmbeddedEngine(data), {}, JobOptions(source_name="none")))
    registry = CollectorRegistry()
    registry.register(metrics)
    text = served.text + generate_latest(registry).decode()
    samples = {
        sample.name for family in text_string_to_metric_families(text) for sample in family.samples
    } | {family.name for family in text_string_to_metric_families(text)}
    return samples | set(QDRANT_NAMES.split()) | OTHERS


@pytest.mark.parametrize("query", ASKED)
def test_a_query_names_metrics_that_exist(there: set[str], query: str):
    assert metric_names(query)
    assert metric_names(query) - there == set()


def test_names_are_found_in_a_query():
    query = 'sum by (le) (rate(a_b{c="d"}[5m])) / on (x) group_left e > 2 * 86400 and on () f == 1'
    assert metric_names(query) == {"a_b", "e", "f"}


@NEEDS_PROMTOOL
def test_promtool_accepts_rules_configuration_and_the_queries_of_the_dashboard(tmp_path: Path):
    for path in FOLDER.iterdir():
        text = path.read_text(encoding="utf-8").replace("/tmp/", f"{tmp_path}/")
        (tmp_path / path.name).write_text(text, encoding="utf-8")
    for key in ("twinlens.key", "qdrant.key"):
        (tmp_path / key).touch()
    promtool("check", "config", tmp_path / "prometheus.yml")
    promtool("check", "rules", FOLDER / "alerts.yml")
    asked = [
        {"record": f"query:{number}", "expr": query.replace("$__rate_interval", "1m")}
        for number, query in enumerate(QUERIES)
    ]
    (tmp_path / "queries.yml").write_text(
        yaml.safe_dump({"groups": [{"name": "q", "rules": asked}]})
    )
    promtool("check", "rules", tmp_path / "queries.yml")


# Series that let an alert fire within the hour, and such as don't: promtool's notation, a minute
# from one value to the next.
RUN = "twinlens_index"
UP = 'up{job="qdrant",instance="%s"}'
REQUESTS = 'twinlens_requests_total{status="%s"}'
BUCKET = 'twinlens_request_seconds_bucket{route="/api/v1/search",le="%s"}'
MTIME = 'node_textfile_mtime_seconds{file="/data/index.prom"}'
ROWS = 'twinlens_index_rows{outcome="%s"}'
DISK = 'node_filesystem_%s_bytes{mountpoint="/data"}'
ALERTS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "BackendAway": ({'up{job="twinlens"}': "0x60"}, {'up{job="twinlens"}': "1x60"}),
    "BackendNotReady": ({"twinlens_ready": "0x60"}, {"twinlens_ready": "1x60"}),
    "SearchesFail": (
        {REQUESTS % 200: "0+98x60", REQUESTS % 503: "0+2x60"},
        {REQUESTS % 200: "0+98x60", REQUESTS % 404: "0+2x60"},
    ),
    "SearchSlow": (
        {BUCKET % "1": "0+90x60", BUCKET % "2": "0+99x60", BUCKET % "+Inf": "0+100x60"},
        {BUCKET % "1": "0+100x60", BUCKET % "2": "0+100x60", BUCKET % "+Inf": "0+100x60"},
    ),
    "RequestsQueue": (
        {"twinlens_requests_waiting": "40x60"},
        {"twinlens_requests_waiting": "9x60"},
    ),
    "IndexFailed": (
        {f"{RUN}_succeeded": "0x60", f"{RUN}_running": "0x60"},
        {f"{RUN}_succeeded": "0x60", f"{RUN}_running": "1x60"},
    ),
    "IndexDied": (
        {f"{RUN}_running": "1x60", MTIME: "60x60"},
        {f"{RUN}_running": "1x60", MTIME: "0+60x60"},
    ),
    "IndexTooOld": (
        {f"{RUN}_last_success_timestamp_seconds": "-200000x60"},
        {f"{RUN}_last_success_timestamp_seconds": "0x60"},
    ),
    "RowsRejected": (
        {ROWS % "new": "90x60", ROWS % "rejected": "10x60", f"{RUN}_running": "0x60"},
        {ROWS % "new": "99x60", ROWS % "rejected": "1x60", f"{RUN}_running": "0x60"},
    ),
    "DiskAlmostFull": (
        {DISK % "avail": "10x60", DISK % "size": "100x60"},
        {DISK % "avail": "20x60", DISK % "size": "100x60"},
    ),
    "QdrantAway": ({UP % "a": "0x60"}, {UP % "a": "0x60", UP % "b": "1x60"}),
    "QdrantNodeAway": (
        {"cluster_peers_total": "3x60", UP % "a": "1x60", UP % "b": "1x60"},
        {"cluster_peers_total": "2x60", UP % "a": "1x60", UP % "b": "1x60"},
    ),
    "QdrantCopiesMissing": (
        {"collection_dead_replicas": "2x60"},
        {"collection_dead_replicas": "0x60"},
    ),
    "QdrantRecoveryMode": (
        {"app_status_recovery_mode": "1x60"},
        {"app_status_recovery_mode": "0x60"},
    ),
}


@NEEDS_PROMTOOL
def test_an_alert_fires_when_it_should_and_not_otherwise(tmp_path: Path):
    assert [rule["alert"] for rule in RULES] == list(ALERTS)
    cases = []
    for name, (bad, good) in ALERTS.items():
        for series, fires in ((bad, True), (good, False)):
            given = [{"series": one, "values": values} for one, values in series.items()]
            query = f'count(ALERTS{{alertname="{name}",alertstate="firing"}})'
            expected = [{"labels": "{}", "value": 1}] if fires else []
            cases.append(
                {
                    "interval": "1m",
                    "input_series": given,
                    "promql_expr_test": [
                        {"expr": query, "eval_time": "50m", "exp_samples": expected}
                    ],
                }
            )
    tests = {
        "rule_files": [str(FOLDER / "alerts.yml")],
        "evaluation_interval": "1m",
        "tests": cases,
    }
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(tests))
    promtool("test", "rules", tmp_path / "tests.yml")


def test_the_dashboard_has_at_most_twelve_panels_that_ask_the_provisioned_source():
    [source] = read(GRAFANA / "datasources" / "prometheus.yml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert len(BOARD["panels"]) <= 12
    assert {panel["datasource"]["uid"] for panel in BOARD["panels"]} == {source["uid"]}
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in BOARD["panels"]}
    assert len(places) == len(BOARD["panels"])
    [provider] = read(GRAFANA / "dashboards" / "provider.yml")["providers"]
    [mount] = SERVICES["grafana"]["volumes"]
    assert provider["options"]["path"] == f"{mount['target']}/dashboards"
    assert (ROOT / mount["source"]).samefile(GRAFANA)


def test_prometheus_asks_services_that_are_there():
    config = read(FOLDER / "prometheus.yml")
    [_, mount] = SERVICES["prometheus"]["volumes"]
    assert (ROOT / mount["source"]).samefile(FOLDER)
    targets = {
        job["job_name"]: [
            one for static in job.get("static_configs", []) for one in static["targets"]
        ]
        for job in config["scrape_configs"]
    }
    assert targets == {"twinlens": ["backend:8000"], "qdrant": [], "index": ["node-exporter:9100"]}
    names = {target.split(":")[0] for of in targets.values() for target in of}
    assert names < SERVICES.keys()
    [qdrant] = config["scrape_configs"][1]["dns_sd_configs"]
    assert (qdrant["names"], qdrant["port"]) == (["qdrant"], 6333)
    written = SERVICES["indexer"]["environment"]["TWINLENS_INDEX_METRICS"]
    watched = SERVICES["node-exporter"]["command"]
    assert f"--collector.textfile.directory={Path(written).parent}" in watched
    assert written.endswith(".prom")
    [died] = [rule["expr"] for rule in RULES if rule["alert"] == "IndexDied"]
    assert re.fullmatch(re.search(r'file=~"(.*?)"', died)[1], written)


@pytest.mark.parametrize(
    ("keys", "first"),
    [
        ({}, ""),
        ({"TWINLENS_API_KEYS": "a-key"}, "a-key"),
        ({"TWINLENS_API_KEYS": "a-key", "TWINLENS_ADMIN_KEYS": "b-key,c-key"}, "b-key"),
    ],
)
def test_prometheus_has_keys_in_files_that_it_alone_reads(tmp_path: Path, keys, first):
    service = compose({"QDRANT_API_KEY": "q w"} | keys)["services"]["prometheus"]
    tool = tmp_path / "prometheus"
    tool.write_text('#!/bin/sh\necho "$@"\n')
    tool.chmod(0o755)
    words = [word.replace("/tmp/", f"{tmp_path}/") for word in service["entrypoint"]]
    done = subprocess.run(
        [*words, *service["command"]],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"} | service["environment"],
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.stdout.split() == service["command"]
    for name, key in (("qdrant", "q w"), ("twinlens", first)):
        path = tmp_path / f"{name}.key"
        assert (path.read_text(), path.stat().st_mode & 0o077) == (key, 0)
    config = (FOLDER / "prometheus.yml").read_text()
    assert set(re.findall(r"credentials_file: (\S+)", config)) == {
        "/tmp/twinlens.key",
        "/tmp/qdrant.key",
    }
