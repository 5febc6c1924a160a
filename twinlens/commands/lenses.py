"""The lenses that a command works with, and what commands say of their settings."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final

import click

from twinlens.encoders.runtimes import TITLE_RUNTIMES

if TYPE_CHECKING:
    from twinlens.encoders.lens import Lenses
    from twinlens.settings import Settings
    from twinlens.stores.generations import DataDir, Manifest

SETTINGS_HELP: Final = "Settings may also come from TWINLENS_... variables or twinlens.toml."
title_runtime_option = click.option(
    "--title-runtime",
    type=click.Choice(TITLE_RUNTIMES),
    help="What runs a sentence-transformers model  [default: torch]",
)


def open_lenses(
    settings: Settings,
    data: DataDir,
    published: Manifest | None,
    *,
    threads: int,
    names: Collection[str] | None = None,
) -> Lenses:
    """Return every registered lens, or those of ``names``, with the models of ``choose_models``.

    Those of ``names`` are to ask ``published``, and go by an older rule where that made it.

    Raises:
        EncoderUnavailable: a lens or its model can't be had.
    """
    from twinlens.encoders.lens import LensOptions
    from twinlens.encoders.lenses import open_lenses as open_all

    options = LensOptions(
        threads=threads, title_runtime=settings.title_runtime, cache_dir=data.graphs
    )
    made_by = {} if published is None or names is None else published.lenses
    return open_all(
        choose_models(settings, published),
        options,
        names=names,
        fingerprints={name: record.fingerprint for name, record in made_by.items()},
    )


def choose_models(settings: Settings, published: Manifest | None) -> dict[str, str]:
    """Return the model of each lens: the one asked for, or else that of the published index."""
    suffix = "_model"
    settable = [name for name in type(settings).model_fields if name.endswith(suffix)]
    models = {name.removesuffix(suffix): str(getattr(settings, name)) for name in settable}
    made_by = {} if published is None else published.lenses
    for lens, record in made_by.items():
        if lens + suffix not in settings.model_fields_set:
            models[lens] = record.model
    return models
