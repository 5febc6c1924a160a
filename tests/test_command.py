"""The ``twinlens`` command as a whole: its help, its exit codes, what it imports."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from twinlens.cli import COMMANDS, main

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_help_lists_every_command_and_imports_none():
    code = (
        "import sys; from click.testing import CliRunner; from twinlens.cli import main\n"
        "output = CliRunner().invoke(main, ['--help']).output\n"
        "print(output)\n"
        "loaded = {'numpy', 'torch', 'flask', 'PIL', 'pydantic'} & sys.modules.keys()\n"
        "assert not loaded, loaded"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name):
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0
    assert "Example" in result.output
    assert f"twinlens {name}" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "No such command"),
        (["index"], "Missing argument"),
        (["index", "no-such-folder"], "no-such-folder"),
        (["index", ".", "--column", "title"], "FIELD=COLUMN"),
        (["index", ".", "--threads", "0"], "threads"),
        (["verify"], "no index in"),
        (["serve", "--port", "99999"], "port"),
        (["sample", "--videos", "0", "x"], "videos"),
        (["sample", "--videos", "3", "/proc/nowhere"], "/proc/nowhere"),
        (["serve", "--data-dir", "/dev/null"], "/dev/null"),
        (["train-thumbnails", ".", "--out", "x"], ""),
        (["train-titles", "/nowhere.tsv", "--out", "x"], "/nowhere.tsv can't be read"),
    ],
)
def test_wrong_use_exits_with_2_says_what_is_wrong_and_changes_nothing(
    arguments, message, tmp_path
):
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_setting_exits_with_2(monkeypatch):
    monkeypatch.setenv("TWINLENS_PROT", "1")
    result = CliRunner().invoke(main, ["verify"])
    assert (result.exit_code, "TWINLENS_PROT" in result.output) == (2, True)
