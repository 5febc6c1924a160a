"""Every example in docs/api.md, run as it stands against a served index."""

from __future__ import annotations

import contextlib
import hmac
import io
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backend.browser import needs_chromium
from tests.backend.catalogue import COLOURS, Catalogue, picture_bytes
from tests.backend.page.visiting import visit
from tests.backend.served import ROOT, Served, publish_embedded

DOCS = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
WRITTEN_FOR = "http://127.0.0.1:8000"
PERSON_SECRET = "a secret of the site's own"


def examples(language: str) -> list[object]:
    """The examples in a language, each named by the line that it begins at."""
    found = re.finditer(rf"^```{language}\n(.*?)^```$", DOCS, re.MULTILINE | re.DOTALL)
    return [
        pytest.param(one[1], id=f"line {DOCS[: one.start(1)].count(chr(10)) + 1}") for one in found
    ]


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[Served]:
    named = Catalogue(first_ids=["abc", "def", "ghi"])
    data = publish_embedded(named, tmp_path_factory.mktemp("examples"))
    with Served(data, person_secret=PERSON_SECRET) as served:
        yield served


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    (tmp_path / "picture.jpg").write_bytes(picture_bytes(COLOURS["kitchen"], kind="JPEG"))
    # An answer of 400 and more makes curl fail.
    (tmp_path / ".curlrc").write_text("fail-with-body\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TWINLENS_PERSON_SECRET", PERSON_SECRET)
    expires = 2**33
    signed = hmac.new(PERSON_SECRET.encode(), f"{expires}:p1".encode(), "sha256")
    monkeypatch.setenv("TOKEN", f"{expires}.{signed.hexdigest()}")
    return tmp_path


def for_served(example: str, served: Served) -> str:
    return example.replace(WRITTEN_FOR, served.url)


def test_there_are_examples_in_every_language():
    assert len(examples("bash")) >= 10
    assert len(examples("python")) >= 3
    assert len(examples("js")) >= 3
    others = set(re.findall(r"^```(\w+)$", DOCS, re.MULTILINE)) - {"bash", "python", "js", "json"}
    assert others == set()


@pytest.mark.parametrize("example", examples("bash"))
def test_a_curl_command_gets_an_answer(served, folder, example):
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", for_served(example, served)],
        env={**os.environ, "CURL_HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    written = [one for one in folder.iterdir() if one.name not in {"picture.jpg", ".curlrc"}]
    if written:
        assert all(one.stat().st_size > 0 for one in written)
    elif "%{http_code}" in example:
        assert done.stdout.strip() == "304"
    else:
        assert json.loads(done.stdout)


@pytest.mark.parametrize("example", examples("python"))
def test_a_python_program_runs(served, folder, example):
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(for_served(example, served), "docs/api.md", "exec"), {"__name__": "__main__"})
    assert said.getvalue().strip()


@needs_chromium
@pytest.mark.parametrize("example", examples("js"))
def test_javascript_runs_in_a_page_of_the_server(browser, served, example):
    said = []
    with visit(browser, served) as page:
        page.goto("/docs/errors")
        page.on("console", lambda message: said.append(message.text))
        page.evaluate(f"async () => {{ {example} }}")
    assert said
    assert all(text.strip() for text in said)
