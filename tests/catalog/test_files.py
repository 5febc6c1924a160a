"""Files and directories that are there whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from twinlens.catalog.errors import StoreError
from twinlens.catalog.files import create_whole, write_atomically


@pytest.mark.parametrize("durable", [True, False])
def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "CURRENT"
    write_atomically(path, "සිංහල\n", durable=durable)
    assert path.read_bytes() == "සිංහල\n".encode()
    write_atomically(path, b"\xff new", durable=durable)
    assert path.read_bytes() == b"\xff new"
    assert list(tmp_path.iterdir()) == [path]


def test_others_may_read_what_the_umask_lets_them(tmp_path: Path) -> None:
    previous = os.umask(0o022)
    try:
        write_atomically(tmp_path / "shared", b"x")
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "shared").stat().st_mode) == 0o644


def test_a_write_that_fails_leaves_the_old_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_data_is_on_the_disk_before_its_name_and_the_name_before_the_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    synced: list[tuple[bool, bytes]] = []

    def note(descriptor: int) -> None:
        is_directory = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        synced.append((is_directory, path.read_bytes()))
        if not is_directory:
            assert os.fstat(descriptor).st_size == len(b"new")

    monkeypatch.setattr(os, "fsync", note)
    write_atomically(path, b"new")
    assert synced == [(False, b"old"), (True, b"new")]

    synced.clear()
    write_atomically(path, b"quick", durable=False)
    assert synced == []


def test_a_directory_appears_when_it_is_filled_or_not_at_all(tmp_path: Path) -> None:
    full = pytest.raises(OSError, match="No space left")
    with full, create_whole(tmp_path / "failed") as making:
        (making / "file").write_text("x")
        raise OSError(28, "No space left on device")
    path = tmp_path / "made"
    (tmp_path / "made.new").mkdir()
    (tmp_path / "made.new" / "part").write_text("left by one that was killed")
    with create_whole(path) as making:
        (making / "file").write_text("x")
        assert not path.exists()
    assert [(file.name, file.read_text()) for file in path.iterdir()] == [("file", "x")]
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(StoreError, match="something here already"), create_whole(path):
        pass
