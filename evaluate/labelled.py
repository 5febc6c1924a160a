"""Labelled sets in standard layouts: judged ones as BEIR's and TREC's, parallel ones as SIB-200."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from twinlens.catalog.errors import SourceError
from twinlens.catalog.sources.jsonl import JsonlTable
from twinlens.catalog.sources.rows import BadRecord, NoVideo
from twinlens.catalog.sources.tables import find_bad_cell
from twinlens.catalog.video import MAX_VIDEO_ID_LENGTH, Video
from twinlens.evaluate.tasks import Corpus, Task, TaskQuery

JUDGED: Final = "judged"
CROSS_LINGUAL: Final = "cross-lingual"
PIVOT: Final = "eng"
_SPLIT: Final = "test"


def read_judged_tasks(folder: Path) -> Iterator[Task]:
    """Read the set in ``folder``: a corpus, queries, and judgements, one task per file of them.

    ``corpus.jsonl`` holds ``{"_id", "title", "text"}`` a line; title and text together are taken
    for the title of a video, as BEIR's own evaluation joins them. ``queries.jsonl`` holds
    ``{"_id", "text"}``, or ``video_id`` in place of the text to ask for more like that one.
    Judgements are ``qrels/*.tsv`` (of several files ``test.tsv`` alone) or ``qrels.tsv`` or
    ``qrels.txt``: three columns (query, document, relevance) under a header, or TREC's four (query,
    0, document, relevance) under none. Queries without a relevant document are left out, as usual.

    Source: Thakur et al.: BEIR, NeurIPS 2021.

    Raises:
        SourceError: a file is missing or broken; the message names it and the line.
    """
    videos = {}
    for where, video_id, cells in _read_records(folder / "corpus.jsonl"):
        parts = (str(cells.get(name) or "").strip() for name in ("title", "text"))
        title = " ".join(part for part in parts if part)
        if not title:
            raise SourceError(f"{where}: neither title nor text")
        if len(video_id) > MAX_VIDEO_ID_LENGTH:
            raise SourceError(f"{where}: an id of more than {MAX_VIDEO_ID_LENGTH} characters")
        videos[video_id] = Video(video_id=video_id, title=title)
    if not videos:
        raise SourceError(f"{folder}: no document in its corpus.jsonl")
    queries = {}
    for where, query_id, cells in _read_records(folder / "queries.jsonl"):
        text, liked = cells.get("text"), cells.get("video_id")
        if isinstance(text, str) and text.strip():
            queries[query_id] = TaskQuery(text=text)
        elif isinstance(liked, str) and liked in videos:
            queries[query_id] = TaskQuery(video_id=liked)
        else:
            raise SourceError(f"{where}: neither text nor the video_id of a document")
    patterns = ("qrels/*.tsv", "qrels/*.txt", "qrels.tsv", "qrels.txt")
    files = [path for pattern in patterns for path in sorted(folder.glob(pattern))]
    if not files:
        raise SourceError(f"{folder}: no judgements: neither qrels/*.tsv nor qrels.tsv or .txt")
    corpus = Corpus(folder.name, list(videos.values()))
    for path in [path for path in files if path.stem == _SPLIT] or files:
        judged = read_qrels(path, queries=queries, documents=videos)
        qrels = {query_id: judged[query_id] for query_id in queries if query_id in judged}
        asked = {query_id: queries[query_id] for query_id in qrels}
        yield Task(JUDGED, f"{folder.name}, {path.stem}", corpus, asked, qrels)


def read_qrels(
    path: Path, *, queries: Collection[str], documents: Collection[str]
) -> dict[str, dict[str, int]]:
    """Judgements by query and document, those above 0, of BEIR's three columns or TREC's four.

    Raises:
        SourceError: a line is broken, or names a query or a document that there is not.
    """
    qrels: dict[str, dict[str, int]] = {}
    for number, (where, line) in enumerate(_read_lines(path)):
        cells = line.split("\t") if "\t" in line else line.split()
        if len(cells) not in (3, 4):
            raise SourceError(f"{where}: {len(cells)} columns; 3 (BEIR) or 4 (TREC)")
        query_id, document_id = cells[0], cells[-2]
        try:
            grade = int(cells[-1])
        except ValueError as error:
            if number == 0 and len(cells) == 3:
                continue  # BEIR's header
            raise SourceError(f"{where}: {cells[-1]!r} is not a whole number") from error
        if query_id not in queries:
            raise SourceError(f"{where}: no query {query_id!r}")
        if document_id not in documents:
            raise SourceError(f"{where}: no document {document_id!r}")
        if grade > 0:
            qrels.setdefault(query_id, {})[document_id] = grade
    if not qrels:
        raise SourceError(f"{path}: no judgement above 0")
    return qrels


def read_cross_lingual_tasks(folder: Path, *, limit: int, seed: int) -> Iterator[Task]:
    """From every language to English and back, in a folder laid out as SIB-200 is.

    A file ``<language>_<Script>.tsv`` per language, with columns ``index_id`` (the same for the
    same sentence) and ``text``. The corpus is all lines of the language sought; at most ``limit``
    lines ask, drawn by lot.

    Source: Adelani et al.: SIB-200, EACL 2024; its sentences are those of FLORES-200.

    Raises:
        SourceError: no English file or no other, a file that can't be read, no line in common.
    """
    lines = {path.stem: _read_parallel(path) for path in sorted(folder.glob("*.tsv"))}
    codes = {name: name.partition("_")[0] for name in lines}
    pivots = [name for name in lines if codes[name] == PIVOT]
    others = [name for name in lines if codes[name] != PIVOT]
    if not pivots or not others:
        there = ", ".join(lines) or "none"
        needed = f"needs {PIVOT}_*.tsv and the same in other languages"
        raise SourceError(f"{folder}: {needed}; there are: {there}")
    corpora = {}
    for name, texts in lines.items():
        videos = [Video(video_id=key, title=text) for key, text in texts.items()]
        corpora[name] = Corpus(f"{folder.name} {codes[name]}", videos)
    for other in others:
        for asked, sought in ((other, pivots[0]), (pivots[0], other)):
            shared = [key for key in lines[asked] if key in lines[sought]]
            if not shared:
                raise SourceError(f"{folder}: {asked} and {sought} have no index_id in common")
            drawn = np.random.default_rng(seed).permutation(len(shared))[:limit]
            queries = {shared[at]: TaskQuery(text=lines[asked][shared[at]]) for at in drawn}
            name = f"{folder.name}, {codes[asked]} finds {codes[sought]}"
            qrels = {key: {key: 1} for key in queries}
            yield Task(CROSS_LINGUAL, name, corpora[sought], queries, qrels)


def _read_parallel(path: Path) -> dict[str, str]:
    texts: dict[str, str] = {}
    lines = _read_lines(path)
    where, header = next(lines, (str(path), ""))
    columns = header.split("\t")
    if not {"index_id", "text"} <= set(columns):
        raise SourceError(f"{where}: no columns index_id and text")
    for where, line in lines:
        cells = dict(zip(columns, line.split("\t"), strict=False))
        key, text = cells.get("index_id", ""), cells.get("text", "")
        if not key or not text.strip():
            raise SourceError(f"{where}: no index_id, or no text")
        if key in texts:
            raise SourceError(f"{where}: index_id {key} a second time")
        texts[key] = text
    return texts


def _read_records(path: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield where each record of a JSONL file stands, its id, which no other has, and itself."""
    seen = set()
    for record in JsonlTable(path).read_records(()):
        where = f"{path}, line {record.row}"
        if isinstance(record, BadRecord):
            raise SourceError(f"{where}: {record.detail}")
        if isinstance(record, NoVideo):
            raise SourceError(f"{where}: {record.what}")
        if (wrong := find_bad_cell(record)) is not None:
            raise SourceError(f"{where}: {wrong}")
        found = record.cells.get("_id")
        if not isinstance(found, str | int) or not str(found).strip():
            raise SourceError(f"{where}: no id")
        if found in seen:
            raise SourceError(f"{where}: id {found!r} a second time")
        seen.add(found)
        yield where, str(found), dict(record.cells)


def _read_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the lines that are not blank, without their ends, and where each stands."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{path}: not UTF-8: {error}") from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield f"{path}, line {number}", line
