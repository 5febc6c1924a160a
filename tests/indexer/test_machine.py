"""Every command where the machine or a path is at fault: one sentence, 1 or 2, and no traceback."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.disks import mount
from tests.fakes import ColourEncoder, WordEncoder
from tests.indexer.test_room import PROGRAM, ROOT, assert_failed_in_a_sentence, end, start
from twinlens.cli import main
from twinlens.encoders import load

# By name: what is asked, where {data} is the index, {old} its older generation, {out} a folder.
COMMANDS = {
    "index": "index {source} --data-dir {data}",
    "index --json": "index {source} --data-dir {data} --json {out}/summary.json",
    "index --rejects": "index {source} --data-dir {data} --rejects {out}/rejects.jsonl",
    "index --metrics": "index {source} --data-dir {data} --metrics {out}/job.prom",
    "verify": "verify --data-dir {data}",
    "generations": "generations --data-dir {data}",
    "publish": "publish {old} --data-dir {data}",
    "discard": "discard {old} --data-dir {data}",
    "takedown": "takedown video3 --data-dir {data}",
    "repair": "repair --data-dir {data}",
    "sample": "sample --videos 3 {out}/sample",
    "bench": "bench --quick --json {out}/bench.json",
}
WRITING = sorted(COMMANDS.keys() - {"verify", "generations", "bench"})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an index of two generations, and what else commands take."""
    path = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        use_small_encoders(patch)
        for title in ("Kitchen {}", "Garden {}"):
            rows = [{"video_id": f"video{n}", "title": title.format(n)} for n in range(10)]
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            (path / "source.jsonl").write_text(lines, encoding="utf-8")
            told = CliRunner().invoke(
                main, ["index", f"{path}/source.jsonl", "--data-dir", f"{path}/data"]
            )
            assert told.exit_code == 0, told.output
    # The next job would have something to do.
    (path / "source.jsonl").write_text(lines.replace("Garden", "River"), encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def _small_encoders(monkeypatch: pytest.MonkeyPatch) -> None:
    use_small_encoders(monkeypatch)


def use_small_encoders(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(load, "load_title_encoder", lambda name, **_: WordEncoder(dim=8192))
    patch.setattr(load, "load_thumbnail_encoder", lambda name, **_: ColourEncoder())


def write(command: str, made: Path, data: Path, out: Path) -> list[str]:
    [old, _] = sorted(path.name for path in (made / "data" / "generations").iterdir())
    places = {"source": made / "source.jsonl", "data": data, "out": out, "old": old}
    return [part.format(**places) for part in COMMANDS[command].split()]


def assert_refused(arguments: list[str], code: int) -> str:
    told = CliRunner().invoke(main, arguments)
    assert isinstance(told.exception, SystemExit), told.exception
    said = [line for line in told.stderr.replace("\r", "\n").splitlines() if "twinlens: " in line]
    assert told.exit_code == code, told.output
    assert len(said) == 1 or told.stderr.count("Error: ") == 1, told.output
    assert "Traceback" not in told.output
    return told.output


@pytest.mark.parametrize("command", [*WRITING, "bench"])
def test_a_disk_that_can_only_be_read(command, made, tmp_path):
    with mount(tmp_path / "disk", "tmpfs") as disk:
        copy_sparse(made / "data", disk.path / "data")
        disk.make_read_only()
        asked = write(command, made, disk.path / "data", disk.path)
        assert "Read-only file system" in assert_refused(asked, 1)


@pytest.mark.slow
@pytest.mark.parametrize("command", sorted({*WRITING} - {"discard"}))  # which makes room
def test_a_disk_that_is_full(command, made, tmp_path):
    with mount(tmp_path / "disk", "tmpfs") as disk:
        copy_sparse(made / "data", disk.path / "data")
        disk.fill()
        # In a process of its own, as it may be ended by a signal.
        asked = write(command, made, disk.path / "data", disk.path)
        assert_failed_in_a_sentence(*end(start(*asked)))


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_where_a_folder_is_needed(command, made, tmp_path):
    file = tmp_path / "file"
    file.write_text("x")
    assert_refused(write(command, made, file, file), 2)


def copy_sparse(source: Path, target: Path) -> None:
    subprocess.run(["cp", "-r", "--sparse=always", source, target], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["index", "verify", "publish", "takedown", "repair"])
@pytest.mark.parametrize(
    "limit", ["-n 5", "-n 8", "-v 60000", "-v 250000", "-v 500000", "-v 700000"]
)
def test_too_many_files_and_too_little_memory(command, limit, made, tmp_path):
    copy_sparse(made / "data", tmp_path / "data")
    asked = write(command, made, tmp_path / "data", tmp_path)
    # Where NumPy can't be loaded, neither can the tests' encoders.
    tiny = limit in ("-v 60000", "-v 250000")
    program = ["-m", "twinlens"] if tiny else ["-c", PROGRAM, "guarded"]
    limited = ["sh", "-c", f'ulimit {limit}; exec "$@"', "sh", sys.executable, *program]
    done = subprocess.run([*limited, *asked], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 or (done.returncode == 0 and limit == "-n 8"), done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.replace("\r", "\n").strip().splitlines()) <= 3, done.stderr


@pytest.mark.parametrize("command", ["index", "verify", "generations", "publish"])
def test_an_empty_build_file_stops_nothing(command, made, tmp_path):
    copy_sparse(made / "data", tmp_path / "data")
    build = tmp_path / "data/generations/20990101T000000.000Z-abcdef/build.json"
    build.parent.mkdir()
    build.touch()
    told = CliRunner().invoke(main, write(command, made, tmp_path / "data", tmp_path))
    assert told.exit_code == 0, told.output
    assert build.exists()


@pytest.mark.skipif(
    os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root gives up rights by setpriv"
)
@pytest.mark.parametrize(
    ("command", "closed"),
    [
        ("index", "source.jsonl"),
        ("index", "data"),
        ("verify", "data/CURRENT"),
        ("generations", "data/generations"),
        ("publish", "data/CURRENT"),
        ("takedown", "data"),
    ],
)
def test_what_may_not_be_read_or_written(command, closed, made, tmp_path):
    subprocess.run(["cp", "-r", "--sparse=always", made / "data", tmp_path], check=True)
    shutil.copy(made / "source.jsonl", tmp_path)
    (tmp_path / closed).chmod(0o555 if closed == "data" else 0)
    asked = write(command, made, tmp_path / "data", tmp_path)
    asked = [part.replace(str(made / "source"), str(tmp_path / "source")) for part in asked]
    program = [sys.executable, "-c", PROGRAM, "guarded", *asked]
    # Root may read and write anything, unless it gives that up.
    bounded = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]
    bounded = [] if os.geteuid() else bounded
    done = subprocess.run([*bounded, *program], cwd=ROOT, capture_output=True, text=True)
    (tmp_path / closed).chmod(0o755)
    assert "Traceback" not in done.stderr
    assert "ermission denied" in done.stderr or "not readable" in done.stderr, done.stderr
    assert done.returncode == 2, done.stderr
