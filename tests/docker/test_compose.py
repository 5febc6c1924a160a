"""What an operator counts on in docker-compose.yml."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import click
import pytest
from jsonschema import Draft202012Validator

from tests.backend.proxied import CONFIGURATION
from tests.docker.files import KEY, ROOT, compose, compose_text, compose_variables, stages
from twinlens.backend.processes import GRACEFUL_TIMEOUT_S
from twinlens.cli import main
from twinlens.settings import DEFAULT_TITLE_MODEL, ENV_PREFIX, Settings, load_settings

SERVICES = compose()["services"]
BUILT = sorted(name for name, service in SERVICES.items() if "build" in service)
PUBLISHING = sorted(name for name, service in SERVICES.items() if "ports" in service)


def _validator() -> Draft202012Validator:
    schema = json.loads((Path(__file__).parent / "compose-spec.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def _mounts(service: str) -> dict[str, tuple[str, bool]]:
    """Source and whether it may only be read, by the place in the container."""
    mounts = {}
    for volume in SERVICES[service].get("volumes", []):
        if isinstance(volume, str):
            source, target, *mode = volume.split(":")
            mounts[target] = (source, mode == ["ro"])
        else:
            mounts[volume["target"]] = (volume["source"], volume.get("read_only", False))
    return mounts


def _seconds(duration: str) -> int:
    number, unit = re.fullmatch(r"(\d+)([sm])", duration).groups()
    return int(number) * {"s": 1, "m": 60}[unit]


def test_it_follows_the_compose_specification():
    problems = [f"{e.json_path}: {e.message}" for e in _validator().iter_errors(compose())]
    assert problems == []


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("services", "backend", "depend_on"), ["qdrant"]),
        (("services", "backend", "depends_on", "indexer", "condition"), "service_finished"),
        (("services", "qdrant", "healthcheck", "every"), "5s"),
        (("services", "backend", "cap_drop"), "ALL"),
        (("volume",), {"data": None}),
    ],
)
def test_the_schema_would_notice_a_mistake(place: tuple[str, ...], value: Any):
    broken = copy.deepcopy(compose())
    inner = broken
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    assert not _validator().is_valid(broken)


def test_images_from_elsewhere_are_pinned_to_one_version():
    for service in SERVICES.values():
        if "build" not in service:
            assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", service["image"])


def test_images_built_here_are_never_pulled():
    assert BUILT == ["backend", "indexer"]
    for name in BUILT:
        assert SERVICES[name]["pull_policy"] == "never"
    assert len({SERVICES[name]["image"] for name in BUILT}) == 1


def test_the_server_is_one_that_the_pinned_client_speaks_with():
    # Qdrant promises that a client works with the minor version before and after its own.
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    client = re.search(r"^qdrant-client==(\d+)\.(\d+)", constraints, re.MULTILINE)
    server = re.search(r":v(\d+)\.(\d+)", SERVICES["qdrant"]["image"])
    assert client[1] == server[1]
    assert abs(int(client[2]) - int(server[2])) <= 1


@pytest.mark.parametrize("service", PUBLISHING)
def test_ports_are_open_to_this_machine_only(service: str):
    for port in SERVICES[service]["ports"]:
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)


def test_the_backend_is_reached_through_the_proxy_alone():
    assert "ports" not in SERVICES["backend"]
    assert SERVICES["proxy"]["depends_on"]["backend"]["condition"] == "service_healthy"
    [upstream] = re.findall(r"server (\S+):(\d+) max_fails", CONFIGURATION.read_text("utf-8"))
    assert upstream[0] == "backend"
    assert upstream[1] in stages()[-1].all("EXPOSE")
    [listen] = re.findall(r"listen (\d+) ", CONFIGURATION.read_text("utf-8"))
    assert SERVICES["proxy"]["ports"] == [f"127.0.0.1:8000:{listen}"]


def test_the_proxy_is_set_up_by_the_file_that_the_tests_run():
    [mounted] = SERVICES["proxy"]["volumes"]
    assert (ROOT / mounted["source"]).samefile(CONFIGURATION)
    assert mounted["target"] == "/etc/nginx/nginx.conf"
    assert mounted["read_only"] is True
    assert mounted["bind"]["create_host_path"] is False


def test_the_proxy_writes_to_tmp_alone_and_is_nobody():
    assert SERVICES["proxy"]["read_only"] is True
    assert SERVICES["proxy"]["user"] == "101:101"
    assert [place.split(":")[0] for place in SERVICES["proxy"]["tmpfs"]] == ["/tmp"]
    written = re.findall(r"(?:_path|pid) (\S+);", CONFIGURATION.read_text("utf-8"))
    assert len(written) == 6
    assert all(path.startswith("/tmp/") for path in written)


def test_no_service_leaves_its_own_network():
    for service in SERVICES.values():
        assert not {"network_mode", "privileged", "cap_add", "pid", "ipc"} & service.keys()


def test_without_an_api_key_it_is_refused_and_says_what_to_set():
    with pytest.raises(KeyError, match="QDRANT_API_KEY: set QDRANT_API_KEY to"):
        compose({})
    with pytest.raises(KeyError, match="QDRANT_API_KEY"):
        compose({"QDRANT_API_KEY": ""})


def test_every_service_has_the_same_api_key():
    assert SERVICES["qdrant"]["environment"]["QDRANT__SERVICE__API_KEY"] == KEY
    for name in BUILT:
        assert SERVICES[name]["environment"]["TWINLENS_QDRANT_API_KEY"] == KEY


@pytest.mark.parametrize("service", BUILT)
def test_its_settings_are_known_and_good(
    service: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.chdir(tmp_path)
    image = {k: v for k, v in stages()[-1].environment().items() if k.startswith(ENV_PREFIX)}
    asked = {k: v for k, v in SERVICES[service]["environment"].items() if k.startswith(ENV_PREFIX)}
    for name, value in (image | asked).items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert settings.qdrant_url == "http://qdrant:6333"
    assert settings.qdrant_key == KEY
    assert settings.title_model == DEFAULT_TITLE_MODEL
    assert settings.data_dir == Path("/data")


def test_the_title_model_can_be_chosen_for_the_indexer_and_the_backend_takes_the_index_s_own():
    chosen = compose({"QDRANT_API_KEY": KEY, "TWINLENS_TITLE_MODEL": "packaged:use-m3"})["services"]
    assert chosen["indexer"]["environment"]["TWINLENS_TITLE_MODEL"] == "packaged:use-m3"
    assert "TWINLENS_TITLE_MODEL" not in chosen["backend"]["environment"]


def test_keys_and_limits_are_handed_to_the_backend_and_are_none_by_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.chdir(tmp_path)

    def settings(**environment: str) -> Settings:
        asked = compose({"QDRANT_API_KEY": KEY} | environment)["services"]["backend"]
        given = {k: v for k, v in asked["environment"].items() if k.startswith(ENV_PREFIX)}
        with monkeypatch.context() as patch:
            for name, value in given.items():
                patch.setenv(name, value)
            return load_settings()

    plain = settings()
    assert (plain.api_keys, plain.admin_keys, plain.cors_origins) == ((), (), ())
    assert (plain.rate_limit, plain.trusted_proxies) == (0, 1)  # the proxy of the same file
    asked = settings(
        TWINLENS_API_KEYS="a-key-0123456789,b-key-0123456789",
        TWINLENS_RATE_LIMIT="600",
        TWINLENS_TRUSTED_PROXIES="2",
        TWINLENS_CORS_ORIGINS="https://a.example",
    )
    assert len(asked.api_keys) == 2
    assert (asked.rate_limit, asked.trusted_proxies) == (600, 2)
    assert asked.cors_origins == ("https://a.example",)


def test_whoever_is_waited_for_has_a_health_check():
    for service in SERVICES.values():
        for awaited, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                # What is built here has that of its image.
                assert awaited in BUILT or SERVICES[awaited]["healthcheck"]["test"]


def test_the_backend_keeps_the_health_check_of_its_image():
    assert stages()[-1].all("HEALTHCHECK")
    assert "healthcheck" not in SERVICES["backend"]


def test_a_health_check_ends_before_the_next_begins():
    check = SERVICES["qdrant"]["healthcheck"]
    assert _seconds(check["timeout"]) <= _seconds(check["interval"])


def test_the_indexer_runs_once_and_the_backend_waits_for_it():
    assert SERVICES["indexer"]["restart"] == "no"
    assert SERVICES["indexer"]["healthcheck"] == {"disable": True}
    waits = SERVICES["backend"]["depends_on"]
    assert waits["indexer"]["condition"] == "service_completed_successfully"
    assert waits["qdrant"]["condition"] == "service_healthy"
    assert SERVICES["indexer"]["depends_on"]["qdrant"]["condition"] == "service_healthy"


@pytest.mark.parametrize("environment", [{}, {"INDEX_SOURCE": "hf:someone/videos"}])
def test_the_indexer_s_command_is_one(environment: dict[str, str]):
    words = compose({"QDRANT_API_KEY": KEY} | environment)["services"]["indexer"]["command"]
    context = click.Context(main)
    command = main.get_command(context, words[0])
    asked = command.make_context(words[0], words[1:], parent=context)
    assert asked.params["source"] == environment.get("INDEX_SOURCE", "/source")


def test_the_source_is_read_only_and_must_exist():
    [source] = [v for v in SERVICES["indexer"]["volumes"] if isinstance(v, dict)]
    assert source["target"] == "/source"
    assert source["read_only"] is True
    assert source["bind"]["create_host_path"] is False


def test_indexer_and_backend_share_data_and_models_and_the_backend_only_reads_them():
    for place in json.loads(stages()[-1].last("VOLUME")):
        written, read = _mounts("indexer")[place], _mounts("backend")[place]
        assert written[0] == read[0]
        assert (written[1], read[1]) == (False, True)


def test_what_must_last_lies_on_a_volume():
    assert _mounts("qdrant")["/qdrant/storage"][0] == "qdrant"
    environment = stages()[-1].environment()
    for place in (environment["TWINLENS_DATA_DIR"], environment["HF_HOME"]):
        assert _mounts("indexer")[place][0] in compose()["volumes"]


def test_every_volume_is_declared_and_used():
    used = {
        source
        for service in SERVICES
        for source, _ in _mounts(service).values()
        if not source.startswith((".", "/"))
    }
    assert used == compose()["volumes"].keys()


@pytest.mark.parametrize("service", BUILT)
def test_a_service_built_here_can_write_to_its_volumes_and_tmp_alone(service: str):
    assert SERVICES[service]["read_only"] is True
    assert [place.split(":")[0] for place in SERVICES[service]["tmpfs"]] == ["/tmp"]


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_a_service_has_no_privileges(service: str):
    assert SERVICES[service]["cap_drop"] == ["ALL"]
    assert SERVICES[service]["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("service", BUILT)
def test_a_signal_reaches_the_command(service: str):
    # The kernel ignores SIGTERM for process 1 unless it asked for it; the job does not.
    assert SERVICES[service]["init"] is True


def test_the_backend_is_given_the_time_it_takes_to_finish_its_requests():
    assert _seconds(SERVICES["backend"]["stop_grace_period"]) > GRACEFUL_TIMEOUT_S


@pytest.mark.parametrize("variable", sorted({v.name for v in compose_variables()}))
def test_what_the_operator_may_set_is_documented(variable: str):
    heading = compose_text().split("\nname:", 1)[0]
    assert variable in heading
    assert f"`{variable}`" in (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def test_the_manual_names_the_same_qdrant():
    manual = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert set(re.findall(r"qdrant/qdrant:\S+", manual)) == {SERVICES["qdrant"]["image"]}


def test_the_manual_names_the_volumes_as_compose_does():
    manual = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    manual = manual[manual.index("## Docker Compose") :]  # metrics are called alike
    project = compose()["name"]
    assert set(re.findall(rf"\b{project}_[a-z]+", manual)) == {
        f"{project}_{volume}" for volume in compose()["volumes"]
    }
