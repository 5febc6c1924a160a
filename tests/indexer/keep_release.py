"""Keep a small data directory of this release, which every later one must read.

    python -m tests.indexer.keep_release

It indexes the source of the newest one that is kept, asks over it what was asked over that, and
writes ``data-of-format-<format>-<version>.tar.xz`` beside this file, for ``test_older_format.py``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from twinlens import __version__
from twinlens.backend.app import create_app
from twinlens.encoders.lens import LensOptions
from twinlens.encoders.lenses import open_lenses
from twinlens.search.published import PublishedIndex
from twinlens.stores.engines import open_reader
from twinlens.stores.generations import MANIFEST_FORMAT, DataDir

ARCHIVES = sorted(Path(__file__).parent.glob("data-of-format-*.tar.xz"))


def lenses_of(data: DataDir) -> Any:
    made_by = data.read_published().lenses
    models = {name: record.model for name, record in made_by.items()}
    fingerprints = {name: record.fingerprint for name, record in made_by.items()}
    return open_lenses(models, LensOptions(threads=1), fingerprints=fingerprints)


def answer(data: DataDir, asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the server answers over a data directory, each with the request."""
    lenses = lenses_of(data)
    published = PublishedIndex(
        data,
        open_reader=lambda manifest: open_reader(data, manifest),
        open_lenses=lambda *_: lenses,
    )
    client = create_app(published, thumbnails=data.thumbnails).test_client()
    answered = []
    for one in asked:
        told = client.open(one["path"], method=one["method"], json=one.get("json"))
        answered.append({**one, "status": told.status_code, "answer": told.get_json()})
    published.close()
    return answered


def main() -> None:
    archive = Path(__file__).parent / f"data-of-format-{MANIFEST_FORMAT}-{__version__}.tar.xz"
    with tempfile.TemporaryDirectory() as made:
        with tarfile.open(ARCHIVES[-1]) as newest:
            newest.extractall(made, filter="data")
        folder = Path(made)
        data = DataDir(folder / "data")
        title = data.read_published().lenses["title"].model
        data.path.rename(folder / "old")
        job = [sys.executable, "-m", "twinlens", "index", "source", "--data-dir", "data"]
        subprocess.run([*job, "--title-model", title], check=True, cwd=folder)
        asked = json.loads((folder / "answers.json").read_text(encoding="utf-8"))
        answers = json.dumps(answer(data, asked), ensure_ascii=False, indent=1)
        (folder / "answers.json").write_text(answers + "\n", encoding="utf-8")
        keep = ["data", "source", "answers.json"]
        # Python's own can't write the holes of Qdrant's files as holes.
        tar = ["tar", "--create", "--xz", "--sparse", "--file", archive, "--directory", folder]
        subprocess.run([*tar, *keep], check=True)
    print(f"{archive}: {archive.stat().st_size} bytes")  # noqa: T201 - a command


if __name__ == "__main__":
    main()
