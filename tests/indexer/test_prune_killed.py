"""A job that is killed while it removes a superseded generation."""

import pytest


class KilledError(BaseException):
    """As SIGKILL is to whoever runs: nothing else is done."""


@pytest.mark.parametrize("before", [True, False])
def test_what_a_killed_job_was_removing_is_removed_by_the_next(
    catalogue, data, engine, run_job, monkeypatch, before
):
    for title in ("first", "second"):
        catalogue.add("video0", title=title)
        run_job()
    drop = engine.drop

    def drop_and_die(generation):
        if not before:
            drop(generation)
        raise KilledError

    catalogue.add("video0", title="third")
    with monkeypatch.context() as patched:
        patched.setattr(engine, "drop", drop_and_die)
        with pytest.raises(KilledError):
            run_job()
    assert len(data.list_generations()) == 3
    published = data.read_current()

    catalogue.add("video0", title="fourth")
    generation = run_job().generation
    assert data.list_generations() == [published, generation]
