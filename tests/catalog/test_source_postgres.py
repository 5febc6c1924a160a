"""What a query of a PostgreSQL database gives, from Debian's server."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from click.testing import CliRunner

from tests.catalog.tables import ids
from tests.events.postgres_server import NEEDS_POSTGRES, postgres_server
from twinlens.catalog.errors import SourceError
from twinlens.catalog.sources import Reject, open_source
from twinlens.cli import main

pytestmark = [NEEDS_POSTGRES, pytest.mark.slow]


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with postgres_server() as address:
        with psycopg.connect(address) as db:
            db.execute(
                "CREATE TABLE film (id uuid, name text, tags text[], posted timestamptz,"
                " long interval, views numeric, extra jsonb)"
            )
            db.execute(
                "INSERT INTO film SELECT ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))"
                "::uuid, 'A walk, part ' || n || '; 100 % new', ARRAY['a', 'b'],"
                " '2023-11-05T10:00:00Z', make_interval(secs => n), n * 1.0,"
                ' \'{"channel": "Harbour"}\' FROM generate_series(1, 1200) AS n'
            )
            db.execute("UPDATE film SET posted = 'infinity' WHERE name LIKE '%part 2;%'")
        yield address


QUERY = (
    "SELECT id, name AS title, tags, posted AS published_at, long AS duration, views,"
    " extra->>'channel' AS channel FROM film WHERE name LIKE '%' ORDER BY views"
)


def test_every_row_is_a_video_with_its_fields(database: str) -> None:
    rows = list(open_source(database, query=QUERY))
    assert not any(isinstance(row, Reject) for row in rows)
    assert len(rows) == 1200
    first, second = rows[0].video, rows[1].video
    assert first.video_id == "00000000-0000-4000-8000-000000000001"
    assert first.title == "A walk, part 1; 100 % new"
    assert first.values["tags"] == ("a", "b")
    assert first.values["duration_s"] == 1
    assert first.values["view_count"] == 1
    assert first.values["channel"] == "Harbour"
    assert "published_at" in first.values
    # What Python has no date for is left empty, and costs nothing else.
    assert "published_at" not in second.values
    assert second.title == "A walk, part 2; 100 % new"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (None, "--query"),
        ("SELECT nothing FROM film", "does not exist"),
        ("SELECT views FROM film", "no column for a title"),
        ("DROP TABLE film", "syntax error"),
        ("SELECT 1; DROP TABLE film", "multiple commands|read-only"),
        ("DELETE FROM film RETURNING id, name AS title", "syntax error"),
    ],
)
def test_a_query_that_gives_no_videos_is_one_sentence(database, query, said) -> None:
    with pytest.raises(SourceError, match=said) as failed:
        list(open_source(database, query=query))
    assert "\n" not in str(failed.value)
    assert len(ids(open_source(database, query=QUERY))) == 1200


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://me:s3cr%25et@127.0.0.1:1/films",
        "postgresql://me:s3cr%et@127.0.0.1:1/films",
        "postgres://me:s3cret@nowhere.invalid/films?password=s3cret",
        "postgresql://me:s3cret@127.0.0.1:1/films?odd=s3cret",
    ],
)
def test_a_password_is_never_repeated(address: str) -> None:
    with pytest.raises(SourceError) as failed:
        open_source(address, query="SELECT 1 AS title")
    assert "s3cr" not in str(failed.value)
    assert failed.value.__suppress_context__
    assert "\n" not in str(failed.value)


def test_the_command_keeps_no_password(database: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    address = database.replace("tests@", "tests:s3cret@")
    said = CliRunner().invoke(main, ["index", address, "--query", QUERY + " LIMIT 2", "--dry-run"])
    assert said.exit_code == 0, said.output
    assert "s3cret" not in said.output
    assert "A walk, part 1" in said.output
