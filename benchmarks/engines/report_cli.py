"""``twinlens bench report``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from twinlens.evaluate.file_to_write import FileToWrite

if TYPE_CHECKING:
    from twinlens.benchmarks.engines.result_file import Result

_RESULT: Final = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("result_path", metavar="RESULT", type=_RESULT)
@click.argument("other_path", metavar="[OTHER]", type=_RESULT, required=False)
@click.option("--html", "html_path", type=FileToWrite(), help="One page with all of it and plots.")
@click.option("--markdown", "markdown_path", type=FileToWrite(), help="The same as Markdown.")
@click.option(
    "--plots",
    "plots_path",
    type=click.Path(file_okay=False, path_type=Path),
    help="A folder for the plots; made where there is none.",
)
@click.option(
    "--plot-format",
    type=click.Choice(["svg", "png"]),
    default="svg",
    show_default=True,
    help="What the plots in that folder are written as.",
)
@click.option("--json", "json_path", type=FileToWrite(), help="What is concluded, as JSON.")
def report(
    result_path: Path,
    other_path: Path | None,
    html_path: Path | None,
    markdown_path: Path | None,
    plots_path: Path | None,
    plot_format: str,
    json_path: Path | None,
) -> None:
    """Say what a run's figures come to, or what changed between two runs beyond noise.

    Without --markdown the report on one RESULT goes to standard output, as Markdown. With OTHER,
    its figures are compared with those of RESULT.

    \b
    Example:
      twinlens bench report engines.json --html engines.html --plots plots
      twinlens bench report before.json after.json
    """  # noqa: D301 - the backslash-b is click's
    import json

    from twinlens.benchmarks.engines.compare import compare, text
    from twinlens.benchmarks.engines.report import html, markdown
    from twinlens.benchmarks.engines.report import report as report_on
    from twinlens.benchmarks.engines.result_file import read_result
    from twinlens.benchmarks.engines.summary import summarize
    from twinlens.catalog.errors import UsageError
    from twinlens.catalog.files import write_atomically

    result = read_result(result_path)
    if other_path is not None:
        if html_path or markdown_path or plots_path:
            raise UsageError(f"{other_path}: a comparison of two runs is written as text or JSON")
        comparison = compare(result, read_result(other_path))
        if json_path is not None:
            write_atomically(json_path, json.dumps(comparison.to_json(), indent=1) + "\n")
        click.echo(text(comparison))
        return
    told = report_on(result)
    if html_path is not None:
        write_atomically(html_path, html(told, _inline_plots(result)))
    if plots_path is not None:
        _write_plots(result, plots_path, plot_format)
    if json_path is not None:
        write_atomically(json_path, json.dumps(summarize(result), indent=1) + "\n")
    if markdown_path is not None:
        write_atomically(markdown_path, markdown(told))
    else:
        click.echo(markdown(told), nl=False)


def _inline_plots(result: Result) -> dict[str, str]:
    from twinlens.benchmarks.engines.plots import CAPTIONS, PLOTS, inline_svg

    return {
        CAPTIONS[name]: inline_svg(figure, name, CAPTIONS[name])
        for name, draw in PLOTS.items()
        if (figure := draw(result)) is not None
    }


def _write_plots(result: Result, directory: Path, form: str) -> None:
    from twinlens.benchmarks.engines.plots import PLOTS, save

    directory.mkdir(parents=True, exist_ok=True)
    for name, draw in PLOTS.items():
        if (figure := draw(result)) is not None:
            save(figure, directory / f"{name}.{form}")
