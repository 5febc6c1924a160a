import os

from tests.stores.catalogue import manifest
from twinlens.stores.generations import DataDir


def test_all_that_leads_to_a_generation_is_on_the_disk_before_current_names_it(
    tmp_path, monkeypatch
):
    data = DataDir(tmp_path)
    data.locate_generation("g").mkdir(parents=True)
    published = manifest("embedded", None)
    synced = []
    monkeypatch.setattr(
        os,
        "fsync",
        lambda descriptor: synced.append((os.fstat(descriptor).st_ino, data.read_current())),
    )
    data.publish(published)

    before = {inode for inode, current in synced if current is None}
    made = [
        data.generations,
        data.locate_generation("g"),
        data.locate_generation("g") / "manifest.json",
    ]
    assert before >= {path.stat().st_ino for path in made}
    assert synced[-1] == (tmp_path.stat().st_ino, "g")
    assert data.read_published() == published
