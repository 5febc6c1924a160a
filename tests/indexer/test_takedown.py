"""``twinlens takedown``: out of every generation, and no source brings it back."""

from pathlib import Path

import pytest

from tests.folders import files_in
from tests.indexer.conftest import jpeg
from tests.indexer.test_generations import call

__all__ = ["call"]  # a fixture


def find_traces(folder: Path, text: str) -> list[str]:
    """The files that hold ``text``."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return [str(file) for file in files if text.encode() in file.read_bytes()]


def test_it_is_gone_from_every_generation_and_stays_away(call, run_job, catalogue, data, published):
    catalogue.add("wanted", title="Unmistakable", picture=jpeg((1, 2, 3)))
    older = run_job().generation
    picture = data.thumbnails / str(published.payload("wanted")["thumbnail_file"])
    catalogue.add("another")
    newer = run_job().generation
    assert (find_traces(data.generations, "Unmistakable") != [], picture.exists()) == (True, True)

    code, said = call("takedown", "wanted", "never there")
    [left] = data.list_generations()
    assert code == 0, said
    assert f"Generation {left} is published: 11 videos" in said
    assert f"{older}, {newer}" in said
    assert (data.read_current(), "wanted" in published.vectors()) == (left, False)
    assert (find_traces(data.generations, "Unmistakable"), picture.exists()) == ([], False)
    assert published.differences() == []

    again = run_job(strict=True)
    assert (again.published, again.unchanged, again.rejected) == (False, 11, {"taken_down": 1})
    assert call("takedown", "never there")[1].startswith(f"Generation {left} is published")
    assert call("takedown", "--undo", "wanted")[0] == 0
    assert (run_job().new, "wanted" in published.vectors()) == (1, True)


def test_nothing_is_left_of_one_that_was_pruned_before(call, run_job, catalogue, data, published):
    catalogue.add("wanted", title="Unmistakable", picture=jpeg((1, 2, 3)))
    run_job()
    del catalogue.rows["wanted"]
    assert run_job(prune=True).removed == 1
    assert call("takedown", "wanted")[0] == 0
    assert find_traces(data.generations, "Unmistakable") == []
    assert (data.list_generations(), len(published.vectors())) == ([data.read_current()], 10)
    assert published.differences() == []


def test_it_can_be_said_before_anything_is_indexed(call, run_job, data):
    assert call("takedown", "video3")[0] == 0
    assert run_job().rejected == {"taken_down": 1}


def test_a_second_call_finishes_what_was_cut_short(call, run_job, data, published, monkeypatch):
    run_job()

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(type(data), "remove", stop)
        assert call("takedown", "video3")[0] == 130
    assert "video3" not in published.vectors()
    begun = data.generations / "20200101T000000.000Z-abcdef"  # by a call that was killed
    begun.mkdir()
    (begun / "build.json").write_text("null\n")
    assert call("takedown", "video3")[0] == 0
    assert data.list_generations() == [data.read_current()]
    assert published.differences() == []


@pytest.mark.parametrize("engine", ["embedded"], indirect=True)
def test_the_last_videos_stay_and_what_can_t_be_read_is_named(call, run_job, data, published):
    first = run_job().generation
    code, said = call("takedown", *(f"video{number}" for number in range(10)))
    assert (code, "no other video would be left" in said) == (2, True)
    assert len(published.vectors()) == 10
    assert data.read_takedowns() == frozenset()
    broken = data.generations / "20200101T000000.000Z-abcdef"
    broken.mkdir()
    (broken / "ledger.sqlite").write_bytes(b"no ledger")
    code, said = call("takedown", "video3")
    assert (code, broken.name in said, first in said) == (1, True, True)
    assert "video3" not in published.vectors()


@pytest.mark.parametrize("engine", ["embedded"], indirect=True)
def test_what_may_be_the_published_one_is_not_removed(call, run_job, data, published):
    first = run_job().generation
    manifest = data.locate_generation(first) / "manifest.json"
    for lost in (data.current_file, manifest):
        content = lost.read_bytes()
        lost.unlink()
        before = files_in(data.path)
        code, said = call("takedown", "video3")
        assert (code, "doesn't name a finished generation" in said, first in said) == (2, 1, 1)
        assert files_in(data.path) == before
        lost.write_bytes(content)
    assert call("takedown", "video3")[0] == 0
    assert "video3" not in published.vectors()
