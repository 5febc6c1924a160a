from pathlib import Path

import pytest
from pydantic import SecretStr

from twinlens.catalog.errors import SettingsError
from twinlens.search.steering import DEFAULT_BOOST, Boost
from twinlens.settings import Settings, load_settings

DOCS = Path(__file__).parents[1] / "docs" / "settings.md"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv("TWINLENS_" + name.upper(), raising=False)


def test_command_line_beats_environment_beats_file_beats_default(tmp_path, monkeypatch):
    assert load_settings().port == 8000
    # As Windows' editors save it, with a mark.
    (tmp_path / "twinlens.toml").write_text('port = 1\ncollection = "films"\n', "utf-8-sig")
    assert load_settings().port == 1
    monkeypatch.setenv("TWINLENS_PORT", "2")
    assert load_settings().port == 2
    assert load_settings({"port": 3, "host": None}).port == 3
    assert load_settings().collection == "films"


def test_an_unknown_variable_is_an_error_that_names_it_but_one_of_the_tests(monkeypatch):
    monkeypatch.setenv("TWINLENS_TEST_QDRANT_URL", "http://localhost:6333")
    load_settings()
    monkeypatch.setenv("TWINLENS_PROT", "1")
    with pytest.raises(SettingsError, match="TWINLENS_PROT"):
        load_settings()


def test_variables_of_a_service_called_twinlens_are_not_settings(tmp_path, monkeypatch):
    (tmp_path / "twinlens.toml").write_text("port = 9\n")
    for name, value in {
        "PORT": "tcp://10.0.0.1:8000",
        "SERVICE_HOST": "10.0.0.1",
        "SERVICE_PORT": "8000",
        "SERVICE_PORT_HTTP": "8000",
        "PORT_8000_TCP": "tcp://10.0.0.1:8000",
        "PORT_8000_TCP_PROTO": "tcp",
        "PORT_8000_TCP_PORT": "8000",
        "PORT_8000_TCP_ADDR": "10.0.0.1",
        "API_SERVICE_HOST": "10.0.0.2",
        "API_PORT": "tcp://10.0.0.2:8000",
        "NAME": "/web/twinlens",
        "ENV_PATH": "/usr/bin",
    }.items():
        monkeypatch.setenv(f"TWINLENS_{name}", value)
    assert load_settings().port == 9
    monkeypatch.setenv("TWINLENS_PORT", "8001")
    assert load_settings().port == 8001
    monkeypatch.setenv("TWINLENS_SERVICE", "1")
    with pytest.raises(SettingsError, match=r"environment: TWINLENS_SERVICE; known"):
        load_settings()


@pytest.mark.parametrize(
    ("written", "said"), [("prot = 1\n", "prot"), ("port = = 1\n", r"twinlens\.toml")]
)
def test_a_file_with_an_unknown_name_or_broken_is_an_error(tmp_path, written, said):
    (tmp_path / "twinlens.toml").write_text(written)
    with pytest.raises(SettingsError, match=said):
        load_settings()


def test_the_api_key_is_not_printed():
    settings = load_settings({"qdrant_api_key": SecretStr("hunter2"), "qdrant_url": "http://q"})
    assert settings.qdrant_server is not None
    assert "hunter2" not in repr(settings) + repr(settings.qdrant_server)
    assert settings.qdrant_server.api_key == "hunter2"


def test_nodes_of_a_server_come_as_a_list_or_with_commas(tmp_path, monkeypatch):
    (tmp_path / "twinlens.toml").write_text('qdrant_url = ["http://a:1", "http://b:2"]\n')
    assert load_settings().qdrant_server.urls == ["http://a:1", "http://b:2"]
    monkeypatch.setenv("TWINLENS_QDRANT_URL", "http://c:3, http://d:4,")
    assert load_settings().qdrant_server.urls == ["http://c:3", "http://d:4"]
    assert load_settings({"qdrant_url": "http://e:5"}).qdrant_server.url == "http://e:5"
    nodes = load_settings(
        {"qdrant_url": "http://e,https://f:80/,http://[::1]/p"}
    ).qdrant_server.urls
    assert nodes == ["http://e:6333", "https://f:80", "http://[::1]:6333/p"]


def test_every_setting_of_a_server_arrives(tmp_path):
    given = {
        "qdrant_url": "https://q",
        "qdrant_ca_file": tmp_path / "ca",
        "qdrant_cert_file": tmp_path / "cert",
        "qdrant_key_file": tmp_path / "key",
        "qdrant_shards": 6,
        "qdrant_replicas": 3,
        "qdrant_write_consistency": 2,
        "qdrant_on_disk": True,
        "qdrant_quantization": "turbo",
        "qdrant_strict": True,
    }
    settings = load_settings(given)
    for where in (settings.qdrant_server, settings.qdrant_layout):
        for name in where.__dataclass_fields__:
            if f"qdrant_{name}" in given:
                assert getattr(where, name) == given[f"qdrant_{name}"]
    assert load_settings().qdrant_layout.shards == 1


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_is_documented(name):
    assert f"`{name}`" in DOCS.read_text(encoding="utf-8")


def test_boosts_come_as_tables_or_as_json_and_say_what_is_wrong(tmp_path, monkeypatch):
    file = tmp_path / "twinlens.toml"
    file.write_text('[[boost]]\nfield = "view_count"\n[[boost]]\nfield = "tags"\nvalue = "x"\n')
    assert load_settings().boosts == (
        Boost(field="view_count"),
        Boost(field="tags", value="x", weight=DEFAULT_BOOST),
    )
    file.write_text('[[boost]]\nfield = "published_at"\nhalf_life_days = 0\n')
    with pytest.raises(SettingsError, match=r"boost\.0\.half_life_days: .* 0\.01"):
        load_settings()
    monkeypatch.setenv("TWINLENS_BOOST", '[{"field": "like_count", "weight": 0.3}]')
    assert load_settings().boosts == (Boost(field="like_count", weight=0.3),)


def test_keys_and_origins_come_as_a_list_or_with_commas(tmp_path, monkeypatch):
    monkeypatch.setenv("TWINLENS_API_KEYS", "first-key-01234567, second-key-0123456")
    (tmp_path / "twinlens.toml").write_text(
        'admin_keys = ["admin-key-01234567"]\ncors_origins = ["https://a.example"]\n'
    )
    settings = load_settings()
    keys = [key.get_secret_value() for key in (*settings.api_keys, *settings.admin_keys)]
    assert keys == ["first-key-01234567", "second-key-0123456", "admin-key-01234567"]
    assert settings.cors_origins == ("https://a.example",)
    assert "-key-" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("api_keys", "short", "16 to 256"),
        ("api_keys", "with a space in between", "16 to 256"),
        ("admin_keys", "ශ්‍රී" * 10, "16 to 256"),
        ("cors_origins", "https://a.example/path", "not an origin"),
        ("cors_origins", "a.example", "not an origin"),
        ("cors_origins", "https://*.example", "not an origin"),
        ("rate_limit", -1, "rate_limit"),
        ("trusted_proxies", 99, "trusted_proxies"),
        ("max_wait_s", 0, "max_wait_s"),
        *(("port", port, "port") for port in (70000, "x")),
        ("threads", 0, "threads"),
        *(("qdrant_url", url, "URL") for url in ("q:6333", "http://", "http://a b")),
        ("qdrant_url", "http://q:x", "Port"),
        ("qdrant_shards", 0, "qdrant_shards"),
        ("qdrant_quantization", "int4", "qdrant_quantization"),
        ("collection", "a/b", "collection"),
    ],
)
def test_a_bad_value_is_named_and_a_key_is_not_repeated(name, value, said):
    with pytest.raises(SettingsError, match=name) as caught:
        load_settings({name: value})
    assert said in str(caught.value)
    if name.endswith("keys"):
        assert value not in str(caught.value)
