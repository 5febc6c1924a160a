from stores.copying import copy_tree


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
