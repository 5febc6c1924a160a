import os

from twinlens.stores.generations import DataDir, Manifest


def test_all_that_leads_to_a_generation_is_on_the_disk_before_current_names_it(
    tmp_path, monkeypatch
):
    data = DataDir(tmp_path)
    data.generation_path("g").mkdir(parents=True)
    manifest = Manifest(
        generation="g",
        created_at="2026-11-21T00:00:00+00:00",
        engine="embedded",
        collection=None,
        lenses={},
        counts={},
        source="videos",
        versions={},
        timings_s={},
    )
    synced = []
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: synced.append((os.fstat(descriptor).st_ino, data.current()))
    )
    data.publish(manifest)

    before = {inode for inode, current in synced if current is None}
    made = [
        data.generations,
        data.generation_path("g"),
        data.generation_path("g") / "manifest.json",
    ]
    assert before >= {path.stat().st_ino for path in made}
    assert synced[-1] == (tmp_path.stat().st_ino, "g")
    assert data.published() == manifest
