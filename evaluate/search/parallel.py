"""Cross-lingual search: ask with a sentence in one language, find the same one in another."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from twinlens.catalog.errors import SourceError
from twinlens.catalog.video import Video
from twinlens.evaluate.search.tasks import Corpus, Query, Task

FAMILY: Final = "cross-lingual"
PIVOT: Final = "eng"
_ID: Final = "index_id"
_TEXT: Final = "text"


def cross_lingual_tasks(folder: Path, *, limit: int, seed: int) -> Iterator[Task]:
    """From every language to English and back, in a folder laid out as SIB-200 is.

    A file ``<language>_<Script>.tsv`` per language, with columns ``index_id`` (the same for the
    same sentence) and ``text``. The corpus is all lines of the language sought; at most ``limit``
    lines ask, drawn by lot.

    Source: Adelani et al.: SIB-200, EACL 2024; its sentences are those of FLORES-200.

    Raises:
        SourceError: no English file or no other, a file that can't be read, no line in common.
    """
    lines = {path.stem: _read(path) for path in sorted(folder.glob("*.tsv"))}
    pivots = [name for name in lines if name.partition("_")[0] == PIVOT]
    others = [name for name in lines if name not in pivots]
    if not pivots or not others:
        raise SourceError(
            f"{folder}: needs {PIVOT}_*.tsv and the same in other languages; "
            f"there are: {', '.join(lines) or 'none'}"
        )
    pivot = pivots[0]
    corpora = {
        name: Corpus(
            f"{folder.name} {name.partition('_')[0]}",
            [Video(video_id=key, title=text) for key, text in texts.items()],
        )
        for name, texts in lines.items()
    }
    for other in others:
        for asked, sought in ((other, pivot), (pivot, other)):
            shared = [key for key in lines[asked] if key in lines[sought]]
            if not shared:
                raise SourceError(f"{folder}: {asked} and {sought} have no {_ID} in common")
            rng = np.random.default_rng(seed)
            chosen = [shared[at] for at in rng.permutation(len(shared))[:limit]]
            yield Task(
                FAMILY,
                f"{folder.name}, {asked.partition('_')[0]} finds {sought.partition('_')[0]}",
                corpora[sought],
                {key: Query(text=lines[asked][key]) for key in chosen},
                {key: {key: 1} for key in chosen},
            )


def _read(path: Path) -> dict[str, str]:
    texts: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            if not {_ID, _TEXT} <= set(rows.fieldnames or ()):
                raise SourceError(f"{path}, line 1: no columns {_ID} and {_TEXT}")
            for row in rows:
                key, text = row[_ID], row[_TEXT]
                if not key or not (text or "").strip():
                    raise SourceError(f"{path}, line {rows.line_num}: no {_ID}, or no {_TEXT}")
                if key in texts:
                    raise SourceError(f"{path}, line {rows.line_num}: {_ID} {key} a second time")
                texts[key] = text
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"{path}: {error}") from error
    return texts
