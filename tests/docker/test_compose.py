"""What an operator counts on in docker-compose.yml."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from jsonschema import Draft202012Validator

from tests.backend.proxied import CONFIGURATION
from tests.docker.files import KEY, ROOT, compose, compose_text, compose_variables, stages
from twinlens.backend.processes import GRACEFUL_TIMEOUT_S
from twinlens.cli import main
from twinlens.encoders.load import OFFLINE_TITLE_MODEL
from twinlens.settings import DEFAULT_TITLE_MODEL, ENV_PREFIX, Settings, load_settings
from twinlens.stores.address import CollectionLayout, ServerAddress

SERVICES = compose()["services"]
BUILT = sorted(name for name, service in SERVICES.items() if "build" in service)
NODES = ["qdrant-1", "qdrant-2", "qdrant-3"]
QDRANTS = ["qdrant", *NODES]
FINAL = stages()[-1]
PROXY = CONFIGURATION.read_text(encoding="utf-8")
MANUAL = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


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
    schema = json.loads((Path(__file__).parent / "compose-spec.json").read_text(encoding="utf-8"))
    problems = Draft202012Validator(schema).iter_errors(compose())
    assert [f"{one.json_path}: {one.message}" for one in problems] == []


def test_images_are_pinned_to_one_version_or_built_here_and_never_pulled():
    assert BUILT == ["backend", "indexer"]
    for name, service in SERVICES.items():
        if name in BUILT:
            assert (service["image"], service["pull_policy"]) == ("twinlens", "never")
        else:
            assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", service["image"])


def test_the_server_is_one_that_the_pinned_client_speaks_with():
    # Qdrant promises that a client works with the minor version before and after its own.
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    client = re.search(r"^qdrant-client==(\d+)\.(\d+)", constraints, re.MULTILINE)
    [image] = {SERVICES[name]["image"] for name in QDRANTS}
    server = re.search(r":v(\d+)\.(\d+)", image)
    assert client[1] == server[1]
    assert abs(int(client[2]) - int(server[2])) <= 1


def test_the_backend_is_reached_through_the_proxy_alone_and_from_this_machine():
    for service in SERVICES.values():
        for port in service.get("ports", []):
            assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)
    assert "ports" not in SERVICES["backend"]
    [upstream] = re.findall(r"server (\S+):(\d+) max_fails", PROXY)
    assert upstream[0] == "backend"
    assert upstream[1] in FINAL.all("EXPOSE")
    [listen] = re.findall(r"listen (\d+) ", PROXY)
    assert SERVICES["proxy"]["ports"] == [f"127.0.0.1:8000:{listen}"]


def test_the_proxy_reads_the_file_that_the_tests_run_and_writes_to_tmp_alone():
    [mounted] = SERVICES["proxy"]["volumes"]
    assert (ROOT / mounted["source"]).samefile(CONFIGURATION)
    assert (mounted["target"], mounted["read_only"]) == ("/etc/nginx/nginx.conf", True)
    assert mounted["bind"]["create_host_path"] is False
    assert SERVICES["proxy"]["user"] == "101:101"
    written = re.findall(r"(?:_path|pid) (\S+);", PROXY)
    assert len(written) == 6
    assert all(path.startswith("/tmp/") for path in written)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_has_no_privileges_its_own_network_and_writes_to_its_volumes_alone(name: str):
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"network_mode", "privileged", "cap_add", "pid", "ipc"} & service.keys()
    if name not in QDRANTS:
        assert service["read_only"] is True
        assert [place.split(":")[0] for place in service.get("tmpfs", ["/tmp"])] == ["/tmp"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_has_bounds_of_memory_processor_and_logs(name: str):
    service = SERVICES[name]
    assert re.fullmatch(r"\d+[gm]", service["mem_limit"])
    assert 0 < float(service["cpus"]) <= 2  # Docker refuses more than the machine has
    assert service["logging"] == {
        "driver": "local",
        "options": {"max-size": "20m", "max-file": "5"},
    }
    if name in ("qdrant", *BUILT):
        asked = {f"{name.upper()}_MEMORY": "9g", f"{name.upper()}_CPUS": "7"}
        other = compose({"QDRANT_API_KEY": KEY} | asked)["services"][name]
        assert (other["mem_limit"], other["cpus"]) == ("9g", "7")


@pytest.mark.parametrize("read_only", ["", "a key that reads"])
def test_every_service_has_the_key_it_needs_without_which_compose_refuses(read_only: str):
    given = {"QDRANT_API_KEY": KEY, "QDRANT_READ_ONLY_API_KEY": read_only}
    services = compose(given)["services"]
    keys = {
        name: {
            variable: value
            for variable, value in service["environment"].items()
            if "KEY" in variable
        }
        for name, service in services.items()
        if "environment" in service
    }
    for name in QDRANTS:
        assert keys[name]["QDRANT__SERVICE__API_KEY"] == KEY
        # Never empty, which might be a key that anybody has.
        assert keys[name]["QDRANT__SERVICE__READ_ONLY_API_KEY"] == (read_only or KEY)
    assert keys["indexer"]["TWINLENS_QDRANT_API_KEY"] == KEY
    assert keys["backend"]["TWINLENS_QDRANT_API_KEY"] == (read_only or KEY)
    assert keys["prometheus"]["QDRANT_KEY"] == (read_only or KEY)
    for environment in ({}, {"QDRANT_API_KEY": ""}):
        with pytest.raises(KeyError, match="QDRANT_API_KEY: set QDRANT_API_KEY to"):
            compose(environment)


def test_how_qdrant_keeps_the_index_is_said_in_the_environment(read_settings):
    assert read_settings("indexer").qdrant_layout == CollectionLayout(shards=1)
    asked = {"SHARDS": "6", "ON_DISK": "true", "QUANTIZATION": "int8", "STRICT": "true"}
    environment = {f"TWINLENS_QDRANT_{name}": value for name, value in asked.items()}
    assert read_settings("indexer", **environment).qdrant_layout == CollectionLayout(
        shards=6, on_disk=True, quantization="int8", strict=True
    )


@pytest.fixture
def read_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Settings]:
    """Return the settings that a service has by its image and by Compose."""
    monkeypatch.chdir(tmp_path)

    def read(service: str, **environment: str) -> Settings:
        asked = compose({"QDRANT_API_KEY": KEY} | environment)["services"][service]["environment"]
        with monkeypatch.context() as patch:
            for name, value in (FINAL.environment() | asked).items():
                if name.startswith(ENV_PREFIX):
                    patch.setenv(name, value)
            return load_settings()

    return read


def test_settings_are_known_and_good(read_settings: Callable[..., Settings]):
    for service in BUILT:
        settings = read_settings(service)
        assert settings.qdrant_server == ServerAddress("http://qdrant:6333", KEY)
        # The image has no torch, which the product's own default needs.
        wanted = OFFLINE_TITLE_MODEL if service == "indexer" else DEFAULT_TITLE_MODEL
        assert (settings.title_model, settings.data_dir) == (wanted, Path("/data"))
    assert (settings.api_keys, settings.admin_keys, settings.cors_origins) == ((), (), ())
    assert read_settings("backend").rate_limit == 0
    assert read_settings("backend").trusted_proxies == 1  # the proxy of the same file


def test_keys_and_limits_reach_the_backend_and_a_title_model_the_indexer_alone(
    read_settings: Callable[..., Settings],
):
    environment = {
        "TWINLENS_API_KEYS": "a-key-0123456789,b-key-0123456789",
        "TWINLENS_RATE_LIMIT": "600",
        "TWINLENS_TRUSTED_PROXIES": "2",
        "TWINLENS_CORS_ORIGINS": "https://a.example",
        "TWINLENS_TITLE_MODEL": "packaged:use-m3",
    }
    settings = read_settings("backend", **environment)
    assert len(settings.api_keys) == 2
    assert (settings.rate_limit, settings.trusted_proxies) == (600, 2)
    assert settings.cors_origins == ("https://a.example",)
    # The backend takes the model of the index.
    assert settings.title_model == DEFAULT_TITLE_MODEL
    assert read_settings("indexer", **environment).title_model == "packaged:use-m3"


def test_whoever_is_waited_for_has_a_health_check():
    waits = {
        (name, awaited): how["condition"].removeprefix("service_")
        for name, service in SERVICES.items()
        for awaited, how in service.get("depends_on", {}).items()
    }
    assert waits == {
        ("indexer", "qdrant"): "healthy",
        ("indexer", "qdrant-3"): "healthy",
        ("qdrant-2", "qdrant-1"): "healthy",
        ("qdrant-3", "qdrant-2"): "healthy",
        ("backend", "qdrant"): "healthy",
        ("backend", "indexer"): "completed_successfully",
        ("proxy", "backend"): "healthy",
    }
    # The cluster is one of the profiles, without which its nodes are not there to be waited for.
    assert SERVICES["indexer"]["depends_on"]["qdrant-3"]["required"] is False
    check = SERVICES["qdrant"]["healthcheck"]
    assert _seconds(check["timeout"]) <= _seconds(check["interval"])
    # The backend has that of its image; the indexer runs once.
    assert FINAL.all("HEALTHCHECK")
    assert "healthcheck" not in SERVICES["backend"]
    assert SERVICES["indexer"]["healthcheck"] == {"disable": True}
    assert SERVICES["indexer"]["restart"] == "no"


@pytest.mark.parametrize("environment", [{}, {"INDEX_SOURCE": "hf:someone/videos"}])
def test_the_indexer_s_command_is_one(environment: dict[str, str]):
    words = compose({"QDRANT_API_KEY": KEY} | environment)["services"]["indexer"]["command"]
    context = click.Context(main)
    command = main.get_command(context, words[0])
    asked = command.make_context(words[0], words[1:], parent=context)
    assert asked.params["source"] == environment.get("INDEX_SOURCE", "/source")


def test_the_source_is_read_only_and_must_exist():
    [source] = [v for v in SERVICES["indexer"]["volumes"] if isinstance(v, dict)]
    assert (source["target"], source["read_only"]) == ("/source", True)
    assert source["bind"]["create_host_path"] is False


def test_volumes_keep_what_must_last_and_the_backend_only_reads_them():
    used = {source for name in SERVICES for source, _ in _mounts(name).values()}
    declared = compose()["volumes"].keys()
    assert {source for source in used if not source.startswith((".", "/"))} == declared
    for name in QDRANTS:
        number = name.removeprefix("qdrant")
        assert _mounts(name) == {
            "/qdrant/storage": (name, False),
            "/qdrant/snapshots": (f"snapshots{number}", False),
        }
    assert _mounts("node-exporter") == {"/data": ("data", True)}
    for place in json.loads(FINAL.last("VOLUME")):
        written, read = _mounts("indexer")[place], _mounts("backend")[place]
        assert written[0] == read[0]
        assert written[0] in declared
        assert (written[1], read[1]) == (False, True)


def test_a_signal_reaches_the_command_which_has_the_time_to_finish_its_requests():
    for name in BUILT:
        # The kernel ignores SIGTERM for process 1 unless it asked for it; the job does not.
        assert SERVICES[name]["init"] is True
    assert _seconds(SERVICES["backend"]["stop_grace_period"]) > GRACEFUL_TIMEOUT_S


@pytest.mark.parametrize("variable", sorted(compose_variables()))
def test_what_the_operator_may_set_is_documented(variable: str):
    assert variable in compose_text().split("\nname:", 1)[0]
    assert f"`{variable}`" in MANUAL


def test_the_manual_names_the_same_qdrant_and_volumes():
    assert set(re.findall(r"qdrant/qdrant:\S+", MANUAL)) == {SERVICES["qdrant"]["image"]}
    of_compose = MANUAL[MANUAL.index("## Docker Compose") :]  # metrics are called alike
    project = compose()["name"]
    assert set(re.findall(rf"\b{project}_[a-z]+(?:-\d)?", of_compose)) == {
        f"{project}_{volume}" for volume in compose()["volumes"]
    }


def test_the_cluster_has_three_nodes_under_one_name_and_keeps_two_copies():
    for number, name in enumerate(NODES, 1):
        node = SERVICES[name]
        assert node["profiles"] == ["cluster"]
        assert node["networks"] == {"default": {"aliases": ["qdrant"]}}
        assert node["restart"] == "unless-stopped"
        assert node["environment"]["QDRANT__CLUSTER__ENABLED"] == "true"
        assert node["environment"]["QDRANT__STORAGE__COLLECTION__REPLICATION_FACTOR"] == "2"
        assert SERVICES["qdrant"]["environment"].items() < node["environment"].items()
        words = ["./entrypoint.sh", "--uri", f"http://{name}:6335"]
        if number > 1:
            words += ["--bootstrap", "http://qdrant-1:6335"]
        assert node["command"] == words
    # Where somebody forgets to leave out the server that stands alone, the second port is refused.
    alone = SERVICES["qdrant"]
    assert alone["ports"] == SERVICES["qdrant-1"]["ports"]
    assert alone["scale"] == "1"
    assert (
        compose({"QDRANT_API_KEY": KEY, "QDRANT_ALONE": "0"})["services"]["qdrant"]["scale"] == "0"
    )


def test_profiles_are_only_what_one_can_do_without():
    profiles = {name: service.get("profiles", []) for name, service in SERVICES.items()}
    assert {name for name, of in profiles.items() if not of} == {"qdrant", "proxy", *BUILT}
    assert {name for name, of in profiles.items() if of == ["cluster"]} == set(NODES)
    assert {name for name, of in profiles.items() if of == ["monitoring"]} == {
        "prometheus",
        "grafana",
        "node-exporter",
    }
