"""``twinlens models``: what was trained, and which of it is served."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from twinlens.commands.generations import data_dir_option, load
from twinlens.commands.lenses import SETTINGS_HELP

if TYPE_CHECKING:
    from twinlens.recommender.models import ModelDirectory


@click.group()
def models() -> None:
    """List the trained recommenders, publish one, or go back to the one before.

    \b
    Example:
      twinlens models list --data-dir data
    """


@models.command("list", epilog=SETTINGS_HELP)
@data_dir_option
def list_models(**overrides: Any) -> None:
    """List the models, oldest first: which is published, what it learned from.

    \b
    Example:
      twinlens models list
    """
    from twinlens.catalog.errors import StoreError
    from twinlens.recommender.models import read_record

    directory = _open(overrides)
    current = directory.read_current()
    for name in directory.list():
        state = "published" if name == current else "kept"
        try:
            record = read_record(directory.locate(name))
        except StoreError as error:
            click.echo(f"{name}  {state}, damaged: {error}")
            continue
        told = ", ".join(f"{value} {of}" for of, value in record.log.items())
        click.echo(f"{name}  {state}, made {record.created_at} of {told}")
    if not directory.list():
        click.echo(f"There are no models in {directory.path.resolve()}")


@models.command(epilog=SETTINGS_HELP)
@click.argument("model")
@data_dir_option
def publish(model: str, **overrides: Any) -> None:
    """Publish MODEL, which is kept, whatever it was compared with.

    \b
    Example:
      twinlens models publish 20261121T083000.123Z-5f2c9a
    """
    directory = _open(overrides)
    with directory.hold_lock():
        directory.publish(model)
    click.echo(f"Model {model} is published")


@models.command("roll-back", epilog=SETTINGS_HELP)
@data_dir_option
def roll_back(**overrides: Any) -> None:
    """Publish the model that was published before this one.

    \b
    Example:
      twinlens models roll-back
    """
    directory = _open(overrides)
    with directory.hold_lock():
        name = directory.roll_back()
    click.echo(f"Model {name} is published")


def _open(overrides: dict[str, Any]) -> ModelDirectory:
    from twinlens.recommender.models import ModelDirectory

    _, data = load(overrides)
    return ModelDirectory(data.path)
