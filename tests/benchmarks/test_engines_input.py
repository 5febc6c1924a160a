"""What `twinlens bench` is given: a result to read, a file to write, engines, sizes, a source."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner

from tests.benchmarks.engine_results import drawn_result
from twinlens.benchmarks.engines import cli
from twinlens.benchmarks.engines.cli import QUICK_SIZES, bench
from twinlens.benchmarks.engines.experiments import EXPERIMENTS, FLAT, VARIANTS
from twinlens.benchmarks.engines.report import markdown, report
from twinlens.benchmarks.engines.result_file import FORMAT, read_result, read_unfinished
from twinlens.benchmarks.engines.summary import summarize
from twinlens.catalog.errors import UsageError
from twinlens.evaluate.file_to_write import FileToWrite

REPLACEMENTS: tuple[Any, ...] = (None, "x", -1, [], {}, [None], {"x": None}, float("nan"))
# Whose entries are all alike, so that one stands for them.
ALIKE = ("searches", "filtered", "threads", "processes", "versions")


def whole() -> dict[str, Any]:
    """A small result of the two kinds of engine, one size begun and others not."""
    engines = ("faiss-flat", "qdrant-server-rest")
    # Of one round, for which no interval is computed: that would take most of the time.
    result = drawn_result(videos=(1_400,), rounds=1, engines=engines)
    record = result["machine"]
    result |= {"format": FORMAT, "continued": [copy.deepcopy(record)], "edited": ["a word"]}
    [size] = result["sizes"]
    size["disturbed"]["latency"] = {"others_cores": 0.4, "slowed": 1.3}
    size |= {"parts": ["latency"], "commits": {"latency": None}, "finished": True}
    for one in size["experiments"].values():
        one["cold"] = {"setting": one["chosen"], "open_ms": [1.0], "first_query_ms": [2.0]}
    size["experiments"]["faiss-flat"]["failed"] = {"part": "clients", "error": "died"}
    result["sizes"] += [{"videos": 5_000}, {"videos": 20_000, "skipped": "memory: little"}]
    return result


def places(of: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something can be replaced; of what is alike, one."""
    if at:
        yield at
    inner = of.items() if isinstance(of, dict) else enumerate(of) if isinstance(of, list) else ()
    for number, (key, value) in enumerate(inner):
        figures = isinstance(of, list) and not isinstance(value, dict)
        if number == 0 or not (figures or (at and at[-1] in ALIKE)):
            yield from places(value, (*at, key))


def replaced(result: dict[str, Any], at: tuple[Any, ...], *value: Any) -> dict[str, Any]:
    """The same with this in this place, or without what is there."""
    changed = copy.deepcopy(result)
    inner: Any = changed
    for key in at[:-1]:
        inner = inner[key]
    if value:
        inner[at[-1]] = value[0]
    else:
        del inner[at[-1]]
    return changed


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "some.json"


def test_a_whole_result_is_read(file: Path) -> None:
    file.write_text(json.dumps(whole()), encoding="utf-8")
    assert read_result(file) == read_unfinished(file) == whole()
    report(read_result(file))


def test_whatever_is_wrong_in_a_result_is_wrong_use(file: Path) -> None:
    """Every key left out or replaced: it is refused with the file's name, or is reported on."""
    result = whole()
    told = []
    for at in places(result):
        for value in [(), *((one,) for one in REPLACEMENTS)]:
            file.write_text(json.dumps(replaced(result, at, *value)), encoding="utf-8")
            for reading in (read_unfinished, reported):
                try:
                    reading(file)
                except UsageError as error:
                    told.append(str(error))
                except Exception as error:
                    raise AssertionError(f"{at} as {value or 'left out'}: {error!r}") from error
    assert len(told) > 1_000
    assert all("some.json" in one for one in told)


def reported(path: Path) -> None:
    read = read_result(path)
    markdown(report(read))
    summarize(read)


@pytest.mark.parametrize(
    ("at", "value", "said"),
    [
        (("options",), [None], r"options: Input should be"),
        (("sizes",), [], "it lacks sizes"),
        (("sizes",), ["many"], r"sizes: Input should be"),
        (("machine",), [{}], r"it lacks machine\.taken_at"),
        (
            ("sizes", 0, "experiments", FLAT, "failed"),
            [],
            rf"it lacks sizes\.0\.experiments\.{FLAT}\.failed",
        ),
        (
            ("sizes", 0, "experiments", FLAT, "searches", "exact", "ms"),
            [],
            r"it lacks sizes\.0\.experiments\.faiss-flat\.searches\.exact\.ms",
        ),
        (("sizes", 0, "vectors"), [], r"sizes\.0: it has experiments, and lacks vectors"),
        (("format",), [1], r"its format is 1, not 2; measure anew"),
    ],
)
def test_what_is_wrong_is_named(at: Any, value: list[Any], said: str, file: Path) -> None:
    file.write_text(json.dumps(replaced(whole(), at, *value)), encoding="utf-8")
    for read in (read_result, read_unfinished):
        with pytest.raises(UsageError, match=rf"some\.json: .*{said}"):
            read(file)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\udcff", '{"format": 2', "[1]", "null"])
def test_what_is_no_result_is_refused(text: str, file: Path) -> None:
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UsageError, match=r"some\.json"):
        read_unfinished(file)


def test_an_empty_run_goes_on_and_has_nothing_to_report(file: Path) -> None:
    begun = whole() | {"sizes": [{"videos": 1_400}], "finished": False}
    del begun["continued"]
    file.write_text(json.dumps(begun), encoding="utf-8")
    assert read_unfinished(file) == begun | {"continued": []}
    begun["sizes"][0] |= {"vectors": whole()["sizes"][0]["vectors"], "experiments": {}}
    del begun["finished"]
    file.write_text(json.dumps(begun), encoding="utf-8")
    read = read_unfinished(file)
    assert (read["continued"], read["finished"], read["sizes"][0]["parts"]) == ([], False, [])
    with pytest.raises(UsageError, match="an empty run"):
        read_result(file)


NO_FILE = r"no regular file|no place for a file"


def converted(path: Path | str) -> Any:
    return FileToWrite().convert(str(path), None, None)


def test_a_file_to_write_is_new_or_an_ordinary_one(tmp_path: Path) -> None:
    there = tmp_path / "there.json"
    there.touch()
    (tmp_path / "link.json").symlink_to(there)
    for name in ("there.json", "new.json", "link.json"):
        assert converted(tmp_path / name) == tmp_path / name


def test_what_is_no_regular_file_is_never_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "to-a-fifo").symlink_to(tmp_path / "fifo")
    (tmp_path / "to-nothing").symlink_to(tmp_path / "nothing")
    for path in (
        *(tmp_path / name for name in ("fifo", "to-a-fifo", "to-nothing")),
        Path("/dev/null"),
        Path("/dev/stdout"),
        Path("/dev/fd/1"),
    ):
        with pytest.raises(click.BadParameter, match=NO_FILE):
            converted(path)
    with pytest.raises(click.BadParameter, match="is a directory"):
        converted(tmp_path)
    with pytest.raises(click.BadParameter, match="is no folder"):
        converted(tmp_path / "none" / "some.json")


def test_standard_output_that_leads_to_a_file_is_still_none(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to("/proc/self/fd/0")
    with (tmp_path / "some.json").open("wb") as file:
        for path in (tmp_path / "out", Path(f"/dev/fd/{file.fileno()}")):
            with pytest.raises(click.BadParameter, match=NO_FILE):
                converted(path)


class Asked:
    """What ``run`` was called with, in its place."""

    def __init__(self) -> None:
        self.source: Any = None
        self.plan: Any = None
        self.experiments: Any = ()
        self.result = Path()

    def __call__(self, source: Any, plan: Any, experiments: Any, *, result: Path, **_: Any) -> Any:
        self.source, self.plan, self.experiments = source, plan, experiments
        self.result = result
        return {"sizes": []}

    @property
    def names(self) -> set[str]:
        return {one.name for one in self.experiments}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    made = Asked()
    monkeypatch.setattr(cli, "run", made)
    return made


def invoke(*arguments: object) -> str:
    """What it said; a failure is raised."""
    outcome = CliRunner().invoke(bench, [str(one) for one in arguments])
    if outcome.exception is not None and not isinstance(outcome.exception, SystemExit):
        raise outcome.exception
    assert outcome.exit_code == 0, outcome.output
    return outcome.stderr


@pytest.mark.parametrize("arguments", [["--sizes", ""], ["--sizes", ","], ["--engine", ""]])
def test_what_is_empty_is_not_taken_as_not_given(arguments: list[str], asked: Asked) -> None:
    with pytest.raises(UsageError, match=arguments[0]):
        invoke(*arguments)


ALL = {one.name for one in EXPERIMENTS}
FLATS = {"faiss-flat", "faiss-flat-memory"}
PLAIN = {"qdrant-embedded", "qdrant-embedded-int8"}


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ([], ALL),
        (["--engine", "faiss-flat"], {"faiss-flat"}),
        (["--engine", "faiss-fl"], FLATS),
        (["--engine", "faiss-flat", "--engine", "faiss-f"], FLATS),
        (["--engine", "qdrant-emb"], PLAIN | set(VARIANTS)),
        (["--quick"], ALL - VARIANTS),
        (["--quick", "--engine", "qdrant-emb"], PLAIN),
        (["--quick", "--engine", "qdrant-embedded-m8"], {"qdrant-embedded-m8"}),
        (["--quick", "--engine", "qdrant-embedded-m8", "--engine", "faiss-fl"],
         FLATS | {"qdrant-embedded-m8"}),
    ],
)  # fmt: skip
def test_engines_are_chosen_by_name_or_beginning(
    arguments: list[str], names: set[str], asked: Asked
) -> None:
    invoke(*arguments)
    assert asked.names == names


def test_variants_alone_are_too_many_for_a_quick_run(asked: Asked) -> None:
    with pytest.raises(UsageError, match="whole name"):
        invoke("--quick", "--engine", "qdrant-embedded-m")


def test_local_mode_takes_part_in_a_quick_run_at_the_smallest_size(asked: Asked) -> None:
    [local] = [one for one in EXPERIMENTS if one.name == "qdrant-local"]
    invoke("--quick")
    assert replace(local, most_videos=QUICK_SIZES[0]) in asked.experiments
    for arguments in (["--quick", "--engine", "qdrant-local"], []):
        invoke(*arguments)
        assert local in asked.experiments


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ([], "result.json"),
        (["--quick"], "quick.json"),
        (["--quick", "--sizes", "1400,20000"], "quick-1400-20000.json"),
        (["--engine", "faiss-flat", "--seed", "3"], "result-faiss-flat-seed-3.json"),
        (["--queries", "50", "--rounds", "7"], "result-queries-50-rounds-7.json"),
        (["--qdrant-url", "http://a:key@one:6333/"], "result-server-one-6333.json"),
        (["--vectors", "{tmp_path}/my own.npy"], "result-my-own.json"),
    ],
)
def test_a_run_with_other_options_has_another_result(
    arguments: list[str], name: str, asked: Asked, tmp_path: Path
) -> None:
    np.save(tmp_path / "my own.npy", np.ones((300, 4)))
    invoke(*(one.format(tmp_path=tmp_path) for one in arguments), "--work-dir", tmp_path / "work")
    assert asked.result == tmp_path / "work" / name


def test_a_results_name_is_never_too_long_for_a_file(asked: Asked) -> None:
    names = set()
    for last in (900, 901):
        invoke("--sizes", ",".join(str(size) for size in [*range(100, 200), last]))
        names.add(asked.result.name)
    assert len(names) == 2
    assert all(len(name) < 100 for name in names)


def test_fewer_queries_than_asked_for_are_told_at_the_start(tmp_path: Path, asked: Asked) -> None:
    h5py = pytest.importorskip("h5py")
    rng = np.random.default_rng(0)
    with h5py.File(tmp_path / "few.hdf5", "w") as file:
        file["train"], file["test"] = rng.normal(size=(300, 4)), rng.normal(size=(2, 4))
    said = invoke("--vectors", tmp_path / "few.hdf5")
    assert "few.hdf5" in said
    assert "2 queries, not 500: it brings no more" in said
    assert asked.plan.queries == 2
    assert asked.plan.sizes == (300,)

    np.save(tmp_path / "some.npy", rng.normal(size=(300, 4)))
    said = invoke("--vectors", tmp_path / "some.npy")
    assert "30 queries, not 500: a tenth of it is taken out" in said
    assert (asked.plan.queries, asked.plan.sizes) == (30, (270,))
    assert invoke("--vectors", tmp_path / "some.npy", "--queries", "30") == ""
