"""``twinlens serve``."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, Final

import click
from pydantic import SecretStr

from twinlens.commands.lenses import SETTINGS_HELP, open_lenses, title_runtime_option

# The engine holds the GIL, so one process searches one at a time; each costs the models' memory.
_MOST_WORKERS: Final = 2


@click.command(epilog=SETTINGS_HELP)
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where the index lies.")
@click.option("--host", help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one."
)
@click.option("--title-model", help="Title encoder; by default the index's own.")
@title_runtime_option
@click.option("--thumbnail-model", help="Thumbnail encoder; by default the index's own.")
@click.option("--qdrant-url", help="A Qdrant server; by default Qdrant runs embedded.")
@click.option(
    "--threads",
    type=click.IntRange(1, 256),
    help="Threads of each encoder, shared out among the processes.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    help="Processes; each holds the models and the index  [default: 2, or 1 on a single core]",
)
@click.option(
    "--request-threads",
    type=click.IntRange(1, 256),
    default=8,
    show_default=True,
    help="Requests that one process answers at a time.",
)
def serve(workers: int | None, request_threads: int, **overrides: Any) -> None:
    """Serve the API and the page over the published index.

    Once it is ready, the last line on standard output says where it listens. A newly published
    index is picked up automatically, also the first, and one by other models. On SIGTERM it
    finishes the requests under way, then ends.

    \b
    Example:
        twinlens serve --data-dir data --port 8000
    """
    from twinlens.backend.access import Policy
    from twinlens.backend.serving import Serving
    from twinlens.backend.serving import serve as run
    from twinlens.events.opening import open_event_log
    from twinlens.recommender.feed import FeedOptions
    from twinlens.search.rules import RulesFile
    from twinlens.settings import load_settings
    from twinlens.stores.engines import open_for_search
    from twinlens.stores.generations import RULES_FILE, DataDir

    workers = workers or min(_MOST_WORKERS, os.cpu_count() or 1)
    settings = load_settings(overrides)
    data = DataDir(settings.data_dir)
    threads_each = max(1, settings.threads // workers)
    run(
        Serving(
            data=data,
            open_reader=partial(open_for_search, data, server=settings.qdrant_server),
            # Those of the index: one that is installed later waits until videos are indexed by it.
            open_lenses=lambda manifest, names: open_lenses(
                settings, data, manifest, threads=threads_each, names=names
            ),
            open_events=partial(open_event_log, data.path, settings.events_address),
            rules=RulesFile(
                settings.rules or data.path / RULES_FILE, is_named=settings.rules is not None
            ),
            boosts=settings.boosts,
            feed=FeedOptions(explore=settings.feed_explore, watched=settings.feed_watched),
            host=settings.host,
            port=settings.port,
            workers=workers,
            receive_timeout_s=settings.receive_timeout_s,
            query_cache=settings.query_cache,
            log_format=settings.log_format,
            policy=Policy(
                api_keys=_reveal(settings.api_keys),
                admin_keys=_reveal(settings.admin_keys),
                cors_origins=settings.cors_origins,
                rate_limit=settings.rate_limit,
                trusted_proxies=settings.trusted_proxies,
                path_prefix=settings.path_prefix,
                max_body_bytes=settings.max_body_bytes,
                searches_at_a_time=request_threads,
                max_wait_s=settings.max_wait_s,
                log_queries=settings.log_queries,
                person_secret=settings.person_secret.get_secret_value()
                if settings.person_secret
                else "",
                keep_searches=settings.keep_searches,
            ),
        )
    )


def _reveal(keys: Iterable[SecretStr]) -> tuple[str, ...]:
    return tuple(key.get_secret_value() for key in keys)
