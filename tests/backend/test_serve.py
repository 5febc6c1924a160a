"""``twinlens serve`` as it is run: its processes, a real embedded index, signals."""

from __future__ import annotations

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from urllib.parse import quote

import pytest
from click.testing import CliRunner

from tests.backend.catalogue import ODD_ID, Catalogue
from tests.backend.served import Served, publish_embedded, wait_until
from tests.fakes import ColourEncoder, WordEncoder
from twinlens.catalog.errors import LensesChanged, UsageError
from twinlens.catalog.video import Video
from twinlens.commands.serve import serve
from twinlens.search.rules import RulesInvalid
from twinlens.stores.generations import DataDir


def test_it_says_where_once_it_answers_and_ends_when_told(embedded):
    with Served(embedded, log_format="text") as served:
        assert served.line == f"TwinLens serves 31 videos at {served.url}\n"
        status, body = served.get("/api/v1/search?q=kitchen&limit=3&explain=true")
        assert status == 200
        assert len(body["hits"]) == 3
        status, body = served.get("/api/v1/videos/a%3Fc")
        assert (status, body["code"]) == (404, "video_not_found")
        # An encoded id comes back as it was.
        status, body = served.get(f"/api/v1/videos/{quote(ODD_ID, safe='')}")
        assert (status, body["video"]["video_id"]) == (200, ODD_ID)
        code, out, err = served.stop()
        assert (code, out) == (0, "")
        assert "Traceback" not in err
        assert "INFO twinlens.backend.requests: GET /api/v1/search 200 in " in err


def test_the_rate_limit_holds_over_all_processes_and_other_settings_reach_them(embedded):
    keys = ("a-key-0123456789", "b-key-0123456789")
    settings = {"cors_origins": "https://a.example", "max_body_bytes": "2000", "rate_limit": "6"}
    with Served(embedded, "--workers", "2", api_keys=",".join(keys), **settings) as served:
        assert served.ask("GET", "/api/v1/stats")[0] == 401
        headers = {"X-API-Key": keys[0], "Origin": "https://a.example"}
        status, answered, _ = served.ask("GET", "/api/v1/stats", headers=headers)
        assert (status, answered["Access-Control-Allow-Origin"]) == (200, "https://a.example")
        status, _, body = served.ask("POST", "/api/v1/search", body=b" " * 2001, headers=headers)
        assert (status, json.loads(body)["code"]) == (413, "body_too_large")
        # Which of the processes is asked makes no difference.
        headers = {"X-API-Key": keys[1]}
        answers = [served.ask("GET", "/api/v1/stats", headers=headers) for _ in range(30)]
        statuses = [status for status, _, _ in answers]
        assert statuses.count(200) in (6, 7)  # one may have come back meanwhile
        assert set(statuses) == {200, 429}
        refused = next(headers for status, headers, _ in answers if status == 429)
        assert refused["RateLimit-Policy"] == '"default";q=6;w=60'
        assert 1 <= int(refused["Retry-After"]) <= 10
        assert not any(key in served.log() for key in keys)


@dataclass
class Marked(Catalogue):
    """Videos whose payloads say which generation they are of."""

    marker: int = 0

    def videos(self) -> list[Video]:
        return [replace(one, values={"view_count": self.marker}) for one in super().videos()]


def test_no_search_fails_while_generations_are_published_and_pruned(tmp_path):
    data = publish_embedded(Marked(), tmp_path, "g0")
    with Served(data, "--workers", "2", "--request-threads", "4") as served:
        seen: list[str] = []
        stop = threading.Event()

        def keep_asking() -> None:
            while not stop.is_set():
                status, body = served.get("/api/v1/videos/beach-1/similar")
                assert (status, len(body["hits"])) == (200, 20)
                # Every hit is of the generation that is named, never of another.
                marker = int(body["generation"].removeprefix("g"))
                assert {hit["video"]["view_count"] for hit in body["hits"]} == {marker}
                seen.append(body["generation"])

        with ThreadPoolExecutor(3) as pool:
            asking = [pool.submit(keep_asking) for _ in range(3)]
            publish_embedded(Marked(marker=1), tmp_path, "g1")
            try:
                wait_until(lambda: seen[-30:].count("g1") == 30)
                data.remove("g0")
                before = len(seen)
                wait_until(lambda: len(seen) > before + 30)
            finally:
                stop.set()
        for one in asking:
            one.result()
        assert set(seen) == {"g0", "g1"}
        code, _, err = served.stop()
        assert code == 0, err


def run(data: DataDir, *options: str) -> Exception | None:
    runner = CliRunner()
    return runner.invoke(serve, ["--data-dir", str(data.path), *options]).exception


@pytest.fixture
def small_encoders(monkeypatch):
    """Those that are asked for, and how."""
    asked: list[tuple[str, dict]] = []

    def title(name, **options):
        asked.append((name, options))
        return WordEncoder(fingerprint="feed" * 4 if name == "other" else "00000000000000aa")

    def thumbnail(name, **options):
        asked.append((name, options))
        return ColourEncoder()

    monkeypatch.setattr("twinlens.encoders.load.load_title_encoder", title)
    monkeypatch.setattr("twinlens.encoders.load.load_thumbnail_encoder", thumbnail)
    return asked


def test_other_encoders_than_the_index_has_are_refused_before_anything_starts(
    embedded, small_encoders
):
    asked = ("--title-model", "other", "--title-runtime", "onnx-int8")
    error = run(embedded, *asked, "--port", "0")
    assert isinstance(error, LensesChanged)
    assert error.exit_code == 2
    assert "feedfeedfeedfeed" in str(error)
    [title] = [options for name, options in small_encoders if name == "other"]
    assert (title["runtime"], title["cache_dir"]) == ("onnx-int8", embedded.graphs)
    assert isinstance(run(embedded, "--title-runtime", "nonsense"), SystemExit)


def test_a_port_in_use_is_named_and_the_indexs_own_encoders_are_taken(embedded, small_encoders):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        error = run(embedded, "--port", str(port))
    assert isinstance(error, UsageError)
    assert error.exit_code == 2
    assert f"127.0.0.1:{port}" in str(error)
    assert [name for name, _ in small_encoders] == ["test:words", "test:colours"]


@pytest.mark.parametrize(
    ("settings", "rules", "said"),
    [
        (
            '[[boost]]\nfield = "views"',
            "",
            "twinlens.toml: boost 1 field: there is no field 'views'",
        ),
        (
            '[[boost]]\nfield = "view_count"\n[[boost]]\nfield = "published_at"',
            "",
            "twinlens.toml: boost 2 half_life_days: published_at: a moment takes half_life_days",
        ),
        (
            "",
            '[[queries]]\nquery = "a"',
            "rules.toml: queries 1: it neither pins nor hides a video",
        ),
        ('rules = "none.toml"', "", "none.toml: there is no such file of rules"),
    ],
)
def test_rules_and_boosts_that_can_not_be_used_are_named_before_anything_starts(
    embedded, small_encoders, tmp_path, monkeypatch, settings, rules, said
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules.toml").write_text(rules)
    settings = settings or 'rules = "rules.toml"'
    (tmp_path / "twinlens.toml").write_text(settings)
    error = run(embedded, "--port", "0")
    assert isinstance(error, UsageError | RulesInvalid)
    assert error.exit_code == 2
    assert str(error).startswith(said)


def test_a_worker_that_can_not_start_ends_the_server_with_its_reason(catalogue, tmp_path):
    data = DataDir(tmp_path)
    data.locate_generation("g1").mkdir(parents=True)
    data.publish(replace(catalogue.manifest("g1"), engine="server", collection="videos"))
    with pytest.raises(pytest.fail.Exception) as said:
        Served(data)
    assert str(said.value).startswith("not ready: '', ended with 1: ")
    assert "set qdrant_url" in str(said.value)


@pytest.mark.slow  # another look after 5 seconds
@pytest.mark.parametrize(
    ("name", "which", "reason"),
    [
        ("CURRENT", "what CURRENT names", "CURRENT does not name a generation"),
        ("generations/g1/manifest.json", "g1", "manifest.json can't be read"),
        ("generations/g1/qdrant/edge_config.json", "g1", "edge_config.json"),
    ],
)
def test_what_can_not_be_opened_yet_is_not_ready_until_it_is_mended(
    catalogue, tmp_path, name, which, reason
):
    data = publish_embedded(catalogue, tmp_path)
    file = data.path / name
    content = file.read_bytes()
    file.write_bytes(b"")
    with Served(data) as served:
        assert served.get("/healthz")[0] == 200
        status, said = served.get("/readyz")
        assert (status, said["code"]) == (503, "not_ready")
        assert f"{which} is published, and unusable" in said["detail"]
        assert reason in served.log()
        file.write_bytes(content)
        wait_until(lambda: served.get("/readyz")[0] == 200)
        assert served.get("/api/v1/search?q=kitchen")[0] == 200
