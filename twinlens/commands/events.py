"""``twinlens events``: import, export, forget, prune."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from twinlens.catalog.errors import UsageError
from twinlens.commands.generations import data_dir_option
from twinlens.commands.lenses import SETTINGS_HELP
from twinlens.commands.progress import open_progress_bar

if TYPE_CHECKING:
    from twinlens.events.log import EventLog
    from twinlens.settings import Settings

_AT_ONCE: Final = 5_000
_SHOWN: Final = 20


@click.group()
def events() -> None:
    """Import, export and remove what people did.

    Events lie in the data directory, or in PostgreSQL with the setting events_url.

    \b
    Examples:
      twinlens events import events.jsonl.gz
      twinlens events export events.parquet
    """


@events.command("import", epilog=SETTINGS_HELP)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--map",
    "mapping",
    help="Layout of another log: kuairand, movielens, movielens-liked, takeout, or a file "
    "NAME.toml.",
)
@click.option("--person", help="Whose events they are, where the files do not say.")
@click.option(
    "--rejects", type=click.Path(path_type=Path, dir_okay=False), help="Write all rejects there."
)
@data_dir_option
def import_events(
    files: tuple[Path, ...],
    mapping: str | None,
    person: str | None,
    rejects: Path | None,
    **overrides: Any,
) -> None:
    """Take in the events of FILES: JSONL, CSV or Parquet, also gzipped text.

    Events that are kept already change nothing, so an import may be repeated. Exits with 1 when
    rows were rejected; all others are kept.

    \b
    Examples:
      twinlens events import events.jsonl.gz
      twinlens events import --map takeout --person me watch-history.json
    """
    from twinlens.events.event import EventType
    from twinlens.events.files import RejectedEvent, read_events
    from twinlens.events.mapping import load_mapping
    from twinlens.events.tables import from_table

    layout = load_mapping(mapping) if mapping else None
    new = known = not_kept = rejected = 0
    with (
        _open_log(overrides) as (log, settings),
        _Rejects(rejects) as named,
        open_progress_bar(None, "event", "importing") as bar,
    ):

        def reject(one: RejectedEvent) -> None:
            where = f"{one.origin.file}, row {one.origin.row}"
            named.write(where, one.detail, asdict(one))

        tables = read_events(
            files, layout, now=datetime.now(UTC), person_id=person, on_reject=reject
        )
        for table in tables:
            given = list(from_table(table))
            kept = [one for one in given if settings.keep_searches or one.type != EventType.SEARCH]
            not_kept += len(given) - len(kept)
            for start in range(0, len(kept), _AT_ONCE):
                some = kept[start : start + _AT_ONCE]
                appended = log.append(some)
                new, known = new + appended.new, known + appended.known
                for place in appended.conflicts:
                    event_id = some[place].event_id
                    said = "known, of an event that says something else"
                    named.write(
                        f"event {event_id}", said, {"event_id": event_id, "fault": "event_conflict"}
                    )
                bar.update(len(some))
        rejected = named.count
    click.echo(f"{new:,} events are new, {known:,} were known, {rejected:,} rejected")
    if not_kept:
        click.echo(f"{not_kept:,} searches were not kept: see keep_searches")
    if rejected:
        raise click.exceptions.Exit(1)


@events.command("export", epilog=SETTINGS_HELP)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--person", help="Only what is kept of this person.")
@data_dir_option
def export_events(file: Path, person: str | None, **overrides: Any) -> None:
    """Write all events to FILE: .jsonl, .jsonl.gz, .csv or .parquet.

    \b
    Example:
      twinlens events export events.parquet
    """
    from twinlens.events.export import write_events
    from twinlens.events.tables import to_table

    with _open_log(overrides) as (log, _):
        tables = (
            (table for table, _ in log.scan())
            if person is None
            else iter([to_table(log.read_person(person))])
        )
        written = write_events(tables, file)
    click.echo(f"{written:,} events are in {file}")


@events.command(epilog=SETTINGS_HELP)
@click.argument("person")
@data_dir_option
def forget(person: str, **overrides: Any) -> None:
    """Remove all that is kept of PERSON, and overwrite it on disk.

    \b
    Example:
      twinlens events forget user-7
    """
    with _open_log(overrides) as (log, _):
        removed = log.forget(person)
    click.echo(f"{removed:,} events of {person} are removed")


@events.command(epilog=SETTINGS_HELP)
@click.option(
    "--days",
    type=click.IntRange(1, 36500),
    help="How old events may be; by default the setting keep_events_days.",
)
@data_dir_option
def prune(days: int | None, **overrides: Any) -> None:
    """Remove events that are older than they may be; a timer runs it daily.

    \b
    Example:
      twinlens events prune --days 365
    """
    with _open_log(overrides) as (log, settings):
        days = days or settings.keep_events_days
        if not days:
            raise UsageError("say how old events may be: --days, or the setting keep_events_days")
        removed = log.prune(datetime.now(UTC) - timedelta(days=days))
    click.echo(f"{removed:,} events older than {days} days are removed")


@contextmanager
def _open_log(overrides: dict[str, Any]) -> Iterator[tuple[EventLog, Settings]]:
    from twinlens.events.opening import open_event_log
    from twinlens.settings import load_settings

    settings = load_settings(overrides)
    with closing(open_event_log(settings.data_dir, settings.events_address)) as log:
        yield log, settings


class _Rejects:
    """Says the first rejects on standard error, and writes all into a file where one is named."""

    def __init__(self, path: Path | None) -> None:
        self.count = 0
        self._path = path

    def __enter__(self) -> _Rejects:
        try:
            self._file = None if self._path is None else self._path.open("w", encoding="utf-8")
        except OSError as error:
            raise UsageError(f"--rejects {self._path}: {error.strerror}") from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, where: str, detail: str, line: dict[str, object]) -> None:
        self.count += 1
        if self.count <= _SHOWN:
            click.echo(f"{where}: {detail}", err=True)
        elif self.count == _SHOWN + 1:
            click.echo("more rejects: --rejects FILE names them all", err=True)
        if self._file is not None:
            self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
