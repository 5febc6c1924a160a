"""What the Dockerfile promises: small, unprivileged, and made of what is in the repository."""

from __future__ import annotations

import json
import re
import tomllib
from fnmatch import fnmatch

import click

from tests.docker.files import ROOT, Stage, stages
from twinlens.cli import main

STAGES = stages()
FINAL = STAGES[-1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _copied_from_here(stage: Stage) -> list[str]:
    return [
        source
        for text in stage.all("COPY")
        if not text.startswith("--from=")
        for source in text.split()[:-1]
    ]


COPIED = sorted({source for stage in STAGES for source in _copied_from_here(stage)})


def test_what_is_copied_is_there_and_not_kept_from_the_build_as_secrets_are():
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()

    def is_kept(path: str) -> bool:
        return any(fnmatch(path, one) for one in ignored if one and not one.startswith("#"))

    for source in COPIED:
        assert (ROOT / source).exists(), source
        assert not is_kept(source), source
    assert is_kept(".env")


def test_everything_that_the_wheel_holds_is_copied():
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
    folders = {path.partition("/")[0] for path in wheel}
    needed = {*folders, "pyproject.toml", PROJECT["project"]["readme"]}
    assert needed <= set(_copied_from_here(STAGES[0]))


def test_a_stage_copies_only_from_stages_before_it():
    known: list[str | None] = []
    for stage in STAGES:
        for text in stage.all("COPY"):
            if text.startswith("--from="):
                assert text.split()[0].removeprefix("--from=") in known
        known.append(stage.name)


def test_the_final_stage_has_the_environment_and_nothing_it_was_built_with():
    assert len(STAGES) >= 2
    assert _copied_from_here(FINAL) == []
    assert FINAL.all("COPY") == ["--from=environment /opt/twinlens /opt/twinlens"]
    assert not re.search(r"\b(pip|apt-get|gcc|hatchling)\b", " ".join(FINAL.all("RUN")))


def test_all_stages_have_one_python_that_the_project_allows():
    [image] = {stage.image for stage in STAGES}
    version = re.fullmatch(r"python:3\.(\d+)-slim", image)
    minimum = re.fullmatch(r">=3\.(\d+)", PROJECT["project"]["requires-python"])
    assert int(version[1]) >= int(minimum[1])


def test_it_ends_as_a_user_that_is_not_root_and_owns_the_volumes():
    user, group = FINAL.last("USER").split(":")
    assert int(user) > 0
    assert int(group) > 0
    # Nothing after it, so that nothing runs as root again.
    keywords = [keyword for keyword, _ in FINAL.instructions]
    assert "RUN" not in keywords[keywords.index("USER") :]
    [made] = re.findall(r"install --directory (.*?)(?:&&|$)", " ".join(FINAL.all("RUN")))
    volumes = json.loads(FINAL.last("VOLUME"))
    assert made.split() == [f"--owner={user}", f"--group={group}", *volumes]
    environment = FINAL.environment()
    assert {environment["TWINLENS_DATA_DIR"], environment["HF_HOME"]} == set(volumes)


def test_torch_is_taken_from_an_index_that_can_be_chosen_and_is_pinned():
    install = " ".join(STAGES[1].all("RUN"))
    assert "TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu" in STAGES[1].all("ARG")
    assert '--no-deps --index-url "$TORCH_INDEX_URL"' in install
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert len(re.findall(r"^torch==\d+\.\d+\.\d+$", constraints, re.MULTILINE)) == 1
    torch, everything = install.index("^torch=="), install.index("--constraint constraints.txt")
    assert torch < everything


def test_the_extras_that_are_installed_exist():
    assert '"${wheel}[$EXTRAS]"' in " ".join(STAGES[1].all("RUN"))
    [extras] = [value[7:] for value in STAGES[1].all("ARG") if value.startswith("EXTRAS=")]
    assert extras == "packaged,postgres"  # no torch: the image stays small
    assert set(extras.split(",")) <= PROJECT["project"]["optional-dependencies"].keys()


def test_what_it_runs_is_a_command():
    assert FINAL.words("ENTRYPOINT") == list(PROJECT["project"]["scripts"])
    words = FINAL.words("CMD")
    context = click.Context(main)
    asked = main.get_command(context, words[0]).make_context(words[0], words[1:], parent=context)
    assert asked.params["host"] == "0.0.0.0"
    assert FINAL.last("EXPOSE") == "8000"
