from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports


def test_every_room_imports_only_what_it_may(capsys, monkeypatch):
    # It would silence every logger that there is, for the tests that come after.
    monkeypatch.setattr("logging.config.dictConfig", id)
    status = lint_imports(no_cache=True)
    assert status == EXIT_STATUS_SUCCESS, capsys.readouterr().out
