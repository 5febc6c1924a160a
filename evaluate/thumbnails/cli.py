"""``twinlens evaluate thumbnails``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("source")
@click.option(
    "--encoder",
    "encoders",
    multiple=True,
    metavar="NAME",
    help="What --thumbnail-model takes, or pixels, pca-128, pca-128-whitened, histogram, "
    "descriptions, efficientnet-lite0, original:DIR; may be given again.  [default: "
    "packaged:denoiser and all that need no DIR]",
)
@click.option(
    "--ask",
    type=click.Choice(["held-out", "all"]),
    default="held-out",
    show_default=True,
    help="Which pictures are damaged and looked for: those that training leaves out, or all, "
    "where none were trained on. All are searched.",
)
@click.option(
    "--fit",
    metavar="SOURCE",
    help="Pictures that principal components are fitted to, but for those held out.  "
    "[default: SOURCE]",
)
@click.option(
    "--rounds",
    default=5,
    show_default=True,
    type=click.IntRange(min=0),
    help="How often speed is measured; 0 leaves it out.",
)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write everything.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw a PNG (needs matplotlib).")
def thumbnails(
    source: str,
    encoders: tuple[str, ...],
    ask: str,
    fit: str | None,
    rounds: int,
    json_path: Path | None,
    plot: Path | None,
) -> None:
    """Measure thumbnail encoders on the pictures of SOURCE, one beside the other.

    Damaged pictures are looked for among all; neighbours are compared by category, where the
    source has them; outputs are checked for life; speed is measured in turns, on one thread.

    \b
    Example:
      twinlens evaluate thumbnails ./thumbnails --json thumbnails.json --plot thumbnails.png
      twinlens evaluate thumbnails ./thumbnails --encoder ./model --encoder pixels
    """
    import json

    from twinlens.catalog.files import write_atomically
    from twinlens.evaluate.thumbnails.contenders import default_names, load_contender
    from twinlens.evaluate.thumbnails.plot import check_plots, draw
    from twinlens.evaluate.thumbnails.report import table
    from twinlens.evaluate.thumbnails.run import PictureRun

    if plot is not None:
        check_plots()
    run = PictureRun(source, fit=fit)
    contenders = [
        load_contender(name, training=run.training)
        for name in dict.fromkeys(encoders or default_names())
    ]
    found = run.report(contenders, ask=ask, rounds=rounds)
    if json_path is not None:
        json_path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(json_path, json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    if plot is not None:
        draw(found, plot)
    click.echo(table(found))
