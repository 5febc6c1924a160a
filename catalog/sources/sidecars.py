"""Folders in which each video has a file that describes it, often beside its picture.

That is what yt-dlp, Jellyfin and img2dataset leave.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Final
from xml.etree.ElementTree import Element, ParseError

import defusedxml
from defusedxml.ElementTree import fromstring

from twinlens.catalog.errors import RejectReason
from twinlens.catalog.sources.columns import list_paths
from twinlens.catalog.sources.rows import BadCell, BadRecord, Record
from twinlens.catalog.sources.tables import PlainTable

MAX_BYTES: Final = 32 * 1024 * 1024
_ROWS_PEEKED: Final = 200
_INFO: Final = ".info.json"
_XML_DEPTH: Final = 20
# How pictures of one video are called beside it, and of all that lies in a folder.
_ENDINGS: Final = ("", "-thumb", "-poster", "-landscape", "-cover", "-fanart")
_OF_FOLDER: Final = ("poster", "thumb", "landscape", "folder", "cover", "movie")
_WHOLE_FOLDER: Final = frozenset({"movie", "video"})


@dataclass(frozen=True, slots=True)
class Sidecars:
    """Which files describe which pictures; ``unused`` are the rest."""

    described: Sequence[tuple[Path, Path | None]] = ()
    alone: Sequence[Path] = ()
    unused: Sequence[Path] = ()


def find_sidecars(files: Sequence[Path], pictures: Collection[Path]) -> Sidecars | None:
    """Return how ``files`` describe videos one by one, or None where they don't.

    ``.info.json`` and ``.nfo`` always do; ``.json`` and ``.txt`` do beside a picture of their name.
    """
    by_stem: dict[Path, list[Path]] = defaultdict(list)
    for picture in pictures:
        by_stem[picture.with_suffix("")].append(picture)
    described: dict[Path, tuple[Path, Path | None]] = {}
    used: set[Path] = set()
    for file in files:
        name = file.name.casefold()
        if name.endswith(_INFO):
            stem = file.with_name(file.name[: -len(_INFO)])
        elif name.endswith((".nfo", ".json", ".txt")):
            stem = file.with_suffix("")
        else:
            continue
        found = _find_pictures(stem, by_stem)
        if not found and not name.endswith((_INFO, ".nfo")):
            continue
        used.add(file)
        used.update(found)
        before = described.get(stem)
        if before is None or not name.endswith(".txt"):
            described[stem] = (file, found[0] if found else None)
    if not described:
        return None
    return Sidecars(
        described=sorted(described.values(), key=lambda pair: str(pair[0])),
        alone=[picture for picture in pictures if picture not in used],
        unused=[file for file in files if file not in used and file not in set(pictures)],
    )


def _find_pictures(stem: Path, by_stem: dict[Path, list[Path]]) -> list[Path]:
    names = [f"{stem.name}{ending}" for ending in _ENDINGS]
    if stem.name in _WHOLE_FOLDER:
        names += _OF_FOLDER
    return [picture for name in names for picture in by_stem.get(stem.with_name(name), ())]


@dataclass(frozen=True, slots=True)
class SidecarTable(PlainTable):
    """A row is a file that describes a video, or a picture that nothing describes."""

    ragged: ClassVar = True
    path: Path
    sidecars: Sidecars = field(kw_only=True)

    def read_column_names(self) -> list[str]:
        """Keys of the first files, and paths into their objects."""
        names: dict[str, None] = {}
        for record in islice(self.read_records(()), _ROWS_PEEKED):
            if isinstance(record, Record):
                names.update(dict.fromkeys(list_paths(record.cells)))
        return list(names)

    def count_rows(self) -> int | None:
        """Return how many files describe a video, or are pictures alone."""
        return len(self.sidecars.described) + len(self.sidecars.alone)

    def read_records(self, columns: Collection[str]) -> Iterator[Record | BadRecord]:
        """Yield one record a file; ``file_name`` is the picture."""
        row = 0
        for row, (file, picture) in enumerate(self.sidecars.described, start=1):
            yield self._read(row, file, picture)
        for number, picture in enumerate(self.sidecars.alone, start=row + 1):
            cells = {"id": self._make_id(picture), "file_name": str(picture)}
            yield Record(number, cells, self._name(picture))

    def _read(self, row: int, file: Path, picture: Path | None) -> Record | BadRecord:
        try:
            if file.stat().st_size > MAX_BYTES:
                raise ValueError(f"more than {MAX_BYTES} bytes")
            cells = _read_cells(file)
            if file.suffix == ".json" and (text := file.with_suffix(".txt")).is_file():
                cells.setdefault("caption", text.read_text("utf-8", "replace"))
        except OSError as error:
            detail = error.strerror or str(error)
            return self._keep(row, file, picture, RejectReason.FILE_UNREADABLE, detail)
        except (ValueError, RecursionError, ParseError, defusedxml.DefusedXmlException) as error:
            return self._keep(row, file, picture, RejectReason.MALFORMED, str(error))
        if not {"id", "video_id", "uniqueid"} & cells.keys():
            cells["id"] = self._make_id(file)
        if picture is not None:
            cells["file_name"] = str(picture)
        return Record(row, cells, self._name(file))

    def _keep(
        self, row: int, file: Path, picture: Path | None, reason: RejectReason, detail: str
    ) -> Record | BadRecord:
        """Return what is left where a file says nothing that can be read: its picture, if any."""
        if picture is None:
            return BadRecord(row, reason, detail, self._name(file))
        cells = {
            "id": self._make_id(file),
            "file_name": str(picture),
            "title": BadCell(reason, detail),
        }
        return Record(row, cells, self._name(file))

    def _make_id(self, file: Path) -> str:
        return ":".join(file.relative_to(self.path).with_suffix("").parts).removesuffix(".info")

    def _name(self, file: Path) -> str:
        return file.relative_to(self.path).as_posix()


def _read_cells(file: Path) -> dict[str, Any]:
    """Return what ``file`` says.

    Raises:
        OSError, ValueError, ParseError, DefusedXmlException: it can't be read.
    """
    name = file.name.casefold()
    if name.endswith(".txt"):
        return {"caption": file.read_text("utf-8", "replace")}
    if name.endswith(".nfo"):
        root = fromstring(file.read_bytes(), forbid_dtd=True)
        cells = _read_element(root, _XML_DEPTH)
        cells = cells if isinstance(cells, dict) else {}
        # One of each catalogue of films, of which one may be the default.
        named = [one for one in root.findall("uniqueid") if (one.text or "").strip()]
        named.sort(key=lambda one: one.get("default") != "true")
        cells.pop("uniqueid", None)
        return {**cells, **({"uniqueid": named[0].text} if named else {}), "nfo": root.tag}
    cells = json.loads(file.read_text("utf-8-sig", "surrogateescape"))
    if not isinstance(cells, dict):
        raise ValueError("it holds no JSON object")  # noqa: TRY004 - a value, not a type, of ours
    return cells


def _read_element(element: Element, depth: int) -> Any:
    """Return the text of an XML element, or what is in it by name; a list where one is repeated."""
    if len(element) == 0 or not depth:
        return (element.text or "").strip() or None
    cells: dict[str, Any] = {}
    for inner in element:
        value = _read_element(inner, depth - 1)
        if inner.tag not in cells:
            cells[inner.tag] = value
        elif isinstance(cells[inner.tag], list):
            cells[inner.tag].append(value)
        else:
            cells[inner.tag] = [cells[inner.tag], value]
    return cells
