"""``twinlens index`` and ``verify`` as they are typed, with the packaged encoders."""

import json

import pytest
from click.testing import CliRunner

from twinlens.cli import main
from twinlens.settings import Settings


def run(*arguments):
    return CliRunner().invoke(main, list(arguments))


@pytest.mark.slow
def test_an_index_keeps_its_models_and_says_what_it_did(catalogue, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv("TWINLENS_" + name.upper(), raising=False)
    where = ("--data-dir", str(data.path))
    catalogue.add("remote", thumbnail_url="http://127.0.0.1:1/x.jpg")

    nowhere = run("index", catalogue.write(), *where, "--json", str(tmp_path / "no" / "x.json"))
    assert (nowhere.exit_code, data.path.exists()) == (2, False)
    metrics = tmp_path / "index.prom"
    unseen = run("index", catalogue.write(), *where, "--metrics", str(tmp_path / "no" / "x.prom"))
    assert (unseen.exit_code, data.path.exists()) == (2, False)
    absent = run("index", str(tmp_path / "absent"), *where, "--metrics", str(metrics))
    assert absent.exit_code == 2
    assert "twinlens_index_succeeded 0.0" in metrics.read_text()

    first = run(
        *("index", catalogue.write(), *where, "--title-model", "packaged:use-m3"),
        *("--fetch-thumbnails", "--json", str(tmp_path / "summary.json")),
        *("--metrics", str(metrics)),
    )
    assert first.exit_code == 0, first.output
    assert "11 new" in first.output
    assert "1 picture_not_fetched" in first.output
    assert json.loads((tmp_path / "summary.json").read_text())["videos"] == 11
    assert "twinlens_index_succeeded 1.0" in metrics.read_text()

    again = run("index", catalogue.write(), *where)
    assert again.exit_code == 0, again.output
    assert "11 unchanged" in again.output

    wrong = run("index", catalogue.write(), *where, "--title-runtime", "onnx")
    assert wrong.exit_code == 2
    assert "leave title_runtime onnx out" in wrong.output

    verified = run("verify", *where)
    assert verified.exit_code == 0
    assert "agree: 11 videos" in verified.output


def test_a_summary_replaces_nothing_but_json(catalogue, data, tmp_path):
    notes = tmp_path / "notes.txt"
    for content, code in (("not to be lost", 2), ("7", 2), ("", 0), ("[]", 0)):
        notes.write_text(content)
        told = run("generations", "--data-dir", str(data.path), "--json", str(notes))
        assert (told.exit_code, "is no JSON" in told.output) == (code, code == 2), told.output
        assert notes.read_text() == ("[]\n" if code == 0 else content)
    told = run("index", catalogue.write(), "--data-dir", str(data.path), "--json", str(tmp_path))
    assert told.exit_code == 2
