import errno
import os

from twinlens.stores.copying import copy_tree


def test_a_copy_is_the_same_and_takes_no_more_room(tmp_path):
    source = tmp_path / "source"
    (source / "folder").mkdir(parents=True)
    (source / "empty").touch()
    (source / "plain").write_bytes(b"abc" * 1000)
    with (source / "folder" / "sparse").open("wb") as handle:
        handle.truncate(50_000_000)
        handle.seek(20_000_000)
        handle.write(b"in the middle")
    with (source / "folder" / "hole").open("wb") as handle:
        handle.truncate(10_000_000)

    target = tmp_path / "target"
    copy_tree(source, target)

    for name in ("empty", "plain", "folder/sparse", "folder/hole"):
        assert (target / name).read_bytes() == (source / name).read_bytes()
        assert (target / name).stat().st_blocks <= (source / name).stat().st_blocks + 8


def test_a_copy_is_on_the_disk_when_it_returns(tmp_path, monkeypatch):
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "folder").mkdir(parents=True)
    (source / "folder" / "file").write_bytes(b"abc" * 1000)
    (source / "empty").touch()
    synced = {}
    sync = os.fsync

    def note(descriptor):
        sync(descriptor)
        known = os.fstat(descriptor)
        synced[known.st_ino] = known.st_size

    monkeypatch.setattr(os, "fsync", note)
    copy_tree(source, target)

    copied = [tmp_path, target, target / "folder", target / "folder" / "file", target / "empty"]
    assert synced.keys() == {path.stat().st_ino for path in copied}
    assert synced[(target / "folder" / "file").stat().st_ino] == 3000, "with all that is in it"


def test_a_copy_needs_neither_sendfile_to_a_file_nor_to_know_of_holes(tmp_path, monkeypatch):
    def of_macos(*_):
        raise OSError(errno.ENOTSOCK, os.strerror(errno.ENOTSOCK))

    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_bytes(b"abc" * 1_000_000)
    monkeypatch.setattr(os, "sendfile", of_macos, raising=False)
    copy_tree(tmp_path / "source", tmp_path / "with holes")
    monkeypatch.delattr(os, "SEEK_DATA", raising=False)
    copy_tree(tmp_path / "source", tmp_path / "without")
    for name in ("with holes", "without"):
        assert (tmp_path / name / "file").read_bytes() == b"abc" * 1_000_000
