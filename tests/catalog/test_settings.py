from pathlib import Path

import pytest
from pydantic import SecretStr

from catalog.errors import SettingsError
from catalog.settings import Settings, load_settings

DOCS = Path(__file__).parents[2] / "docs" / "settings.md"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv("TWINLENS_" + name.upper(), raising=False)


def test_command_line_beats_environment_beats_file_beats_default(tmp_path, monkeypatch):
    assert load_settings().port == 8000
    (tmp_path / "twinlens.toml").write_text('port = 1\ncollection = "films"\n')
    assert load_settings().port == 1
    monkeypatch.setenv("TWINLENS_PORT", "2")
    assert load_settings().port == 2
    assert load_settings({"port": 3, "host": None}).port == 3
    assert load_settings().collection == "films"


def test_an_unknown_variable_is_an_error_that_names_it(monkeypatch):
    monkeypatch.setenv("TWINLENS_PROT", "1")
    with pytest.raises(SettingsError, match="TWINLENS_PROT"):
        load_settings()


def test_a_variable_of_the_test_suite_is_not_a_setting(monkeypatch):
    monkeypatch.setenv("TWINLENS_TEST_QDRANT_URL", "http://localhost:6333")
    load_settings()


def test_an_unknown_name_in_the_file_is_an_error_that_names_it(tmp_path):
    (tmp_path / "twinlens.toml").write_text("prot = 1\n")
    with pytest.raises(SettingsError, match="prot"):
        load_settings()


def test_a_broken_file_is_an_error(tmp_path):
    (tmp_path / "twinlens.toml").write_text("port = = 1\n")
    with pytest.raises(SettingsError, match=r"twinlens\.toml"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value"), [("port", 70000), ("port", "x"), ("threads", 0), ("collection", "a/b")]
)
def test_a_value_out_of_range_is_an_error_that_names_the_setting(name, value):
    with pytest.raises(SettingsError, match=name):
        load_settings({name: value})


def test_the_api_key_is_not_printed():
    settings = load_settings({"qdrant_api_key": SecretStr("hunter2")})
    assert "hunter2" not in repr(settings)
    assert settings.qdrant_key == "hunter2"


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_is_documented(name):
    assert f"`{name}`" in DOCS.read_text(encoding="utf-8")
