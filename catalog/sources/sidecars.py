"""Folders in which each video has a file that describes it, often beside its picture.

That is what yt-dlp, Jellyfin and img2dataset leave.
"""

from __future__ import annotations

import codecs
import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from html.entities import name2codepoint
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
# How pictures of one video are called beside it, and of all that lies in a folder; the best first.
_ART: Final = ("thumb", "landscape", "poster", "cover", "folder", "fanart", "backdrop", "movie")
_ENDINGS: Final = ("", *(f"-{art}" for art in _ART))
# Pictures of a series, a season or a film that are no video's of their own.
_IS_ART: Final = re.compile(
    rf"(?:.*[-_. ])?(?:{'|'.join(_ART)}|show|banner|logo|clearlogo|clearart|disc|discart|art"
    r"|characterart|keyart|season(?:\d+|-?all|-specials).*)\d*",
    re.IGNORECASE,
)
_ART_FOLDERS: Final = re.compile(r"extrafanart|extrathumbs|\.?actors|.*\.trickplay", re.IGNORECASE)
# Files that describe what lies in and below their folder.
_OF_SERIES: Final = frozenset({"tvshow", "season"})
# yt-dlp's --write-all-thumbnails numbers or names those of one video, the best last.
_NUMBERED: Final = re.compile(r"\.(\w{1,20})")
_OF_YT_DLP: Final = re.compile(r"(.* \[[^\[\]]+\])\.(\d+)", re.DOTALL)
# What is wrong with NFO files that media centres read all the same.
_BARE_AMPERSAND: Final = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#\d+|#x[0-9A-Fa-f]+);)(?:(\w+);)?")
_DECLARATION: Final = re.compile(r"\s*<\?xml[^>]*\?>")
_NO_XML: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


@dataclass(frozen=True, slots=True)
class Sidecars:
    """Which files describe which pictures, the ``unused`` rest, and ``art``: of no video."""

    described: Sequence[tuple[Path, Path | None]] = ()
    alone: Sequence[Path] = ()
    unused: Sequence[Path] = ()
    art: Sequence[Path] = ()


def find_sidecars(files: Sequence[Path], pictures: Collection[Path]) -> Sidecars | None:
    """Return how ``files`` describe videos one by one, or None where they don't.

    ``.info.json`` and ``.nfo`` always do; ``.json`` and ``.txt`` do beside a picture of their name.
    """
    names = [file.name.casefold() for file in files]
    if not any(name.endswith((_INFO, ".nfo", ".json", ".txt")) for name in names):
        return None
    named = set(pictures)
    by_stem: dict[Path, list[Path]] = defaultdict(list)
    for picture in pictures:
        by_stem[picture.with_suffix("")].append(picture)
    numbered: dict[Path, list[Path]] = defaultdict(list)
    for stem in by_stem:
        if _NUMBERED.fullmatch(stem.suffix):
            numbered[stem.with_suffix("")].append(stem)
    described: dict[Path, tuple[Path, Path | None]] = {}
    used: set[Path] = set()
    for file, name in zip(files, names, strict=True):
        if name.endswith(_INFO):
            stem = file.with_name(file.name[: -len(_INFO)])
        elif name.endswith((".nfo", ".json", ".txt")):
            stem = file.with_suffix("")
        else:
            continue
        # gallery-dl and Google Photos write a.jpg.json beside a.jpg.
        found = [stem] if stem in named else []
        found += [picture for ending in _ENDINGS for picture in by_stem.get(_end(stem, ending), ())]
        sizes = sorted(numbered.get(stem, ()), key=lambda size: _order(size.suffix), reverse=True)
        found += [picture for size in sizes for picture in by_stem[size]]
        if not found and not name.endswith((_INFO, ".nfo")):
            continue
        used.add(file)
        used.update(found)
        before = described.get(stem)
        if before is None or not name.endswith(".txt"):
            described[stem] = (file, found[0] if found else None)
    if not described:
        return None
    _give_art_of_folders(described, by_stem, used)
    folders = {stem.parent for stem in described}
    rest = [picture for picture in pictures if picture not in used]
    art = {picture for picture in rest if _is_art(picture, folders)}
    alone, others = choose_sizes([picture for picture in rest if picture not in art])
    return Sidecars(
        described=sorted(described.values(), key=lambda pair: str(pair[0])),
        alone=alone,
        unused=[file for file in files if file not in used and file not in named],
        art=[*sorted(art), *others],
    )


def choose_sizes(pictures: Collection[Path]) -> tuple[list[Path], list[Path]]:
    """Return ``pictures`` with the best only of those that yt-dlp numbered, and the others."""
    best: dict[Path, Path] = {}
    others = []
    for picture in pictures:
        found = _OF_YT_DLP.fullmatch(picture.stem)
        key = picture if found is None else picture.with_name(found[1])
        if key in best and _order(best[key].stem) < _order(picture.stem):
            picture, best[key] = best[key], picture
        if best.setdefault(key, picture) != picture:
            others.append(picture)
    return list(best.values()), others


def _end(stem: Path, ending: str) -> Path:
    return stem.with_name(f"{stem.name}{ending}")


def _order(name: str) -> tuple[int, str]:
    number = name.rpartition(".")[2]
    return (int(number) if number.isdecimal() else -1, number)


def _give_art_of_folders(
    described: dict[Path, tuple[Path, Path | None]],
    by_stem: dict[Path, list[Path]],
    used: set[Path],
) -> None:
    """Give the only video of a folder the pictures that are called after none."""
    in_folder: dict[Path, list[Path]] = defaultdict(list)
    for stem in described:
        if stem.name.casefold() not in _OF_SERIES:
            in_folder[stem.parent].append(stem)
    for folder, stems in in_folder.items():
        stem, (file, picture) = stems[0], described[stems[0]]
        if len(stems) > 1 or any(folder / name in described for name in _OF_SERIES):
            continue
        found = [picture for art in _ART for picture in by_stem.get(folder / art, ())]
        used.update(found)
        if picture is None and found:
            described[stem] = (file, found[0])


def _is_art(picture: Path, folders: Collection[Path]) -> bool:
    """Return whether a picture beside described videos, or beside their folders, is of a set."""
    parent = picture.parent
    if _ART_FOLDERS.fullmatch(parent.name) or _ART_FOLDERS.fullmatch(parent.parent.name):
        return True
    return parent in folders and _IS_ART.fullmatch(picture.stem) is not None


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
        """Return how many files describe videos or are pictures; None if one may hold several."""
        if any(file.suffix.casefold() == ".nfo" for file, _ in self.sidecars.described):
            return None
        return len(self.sidecars.described) + len(self.sidecars.alone)

    def read_records(self, columns: Collection[str]) -> Iterator[Record | BadRecord]:
        """Yield one record a file; ``file_name`` is the picture."""
        row = 0
        for file, picture in self.sidecars.described:
            for record in self._read(row + 1, file, picture):
                row += 1
                yield record
        for number, picture in enumerate(self.sidecars.alone, start=row + 1):
            cells = {"id": self._make_id(picture), "file_name": str(picture)}
            yield Record(number, cells, self._name(picture))

    def _read(self, row: int, file: Path, picture: Path | None) -> Iterator[Record | BadRecord]:
        """Yield the records of a file: one, or those of several episodes."""
        try:
            if file.stat().st_size > MAX_BYTES:
                raise ValueError(f"more than {MAX_BYTES} bytes")
            several = _read_cells(file)
            if file.suffix == ".json" and (text := file.with_suffix(".txt")).is_file():
                several[0].setdefault("caption", text.read_text("utf-8", "replace"))
        except OSError as error:
            detail = error.strerror or str(error)
            yield self._keep(row, file, picture, RejectReason.FILE_UNREADABLE, detail)
            return
        except (ValueError, RecursionError, ParseError, defusedxml.DefusedXmlException) as error:
            yield self._keep(row, file, picture, RejectReason.MALFORMED, str(error))
            return
        for number, cells in enumerate(several):
            if not {"id", "video_id", "uniqueid"} & cells.keys():
                made = self._make_id(file)
                cells["id"] = f"{made}:{number + 1}" if number else made
            if picture is not None:
                cells["file_name"] = str(picture)
            yield Record(row + number, cells, self._name(file))

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


def _read_cells(file: Path) -> list[dict[str, Any]]:
    """Return what ``file`` says, of each video that it describes.

    Raises:
        OSError, ValueError, ParseError, DefusedXmlException: it can't be read.
    """
    name = file.name.casefold()
    if name.endswith(".txt"):
        return [{"caption": file.read_text("utf-8", "replace")}]
    if name.endswith(".nfo"):
        return [_read_nfo(root) for root in _parse_nfo(file.read_bytes())]
    cells = json.loads(file.read_text("utf-8-sig", "surrogateescape"), strict=False)
    if not isinstance(cells, dict):
        raise ValueError("it holds no JSON object")  # noqa: TRY004 - a value, not a type, of ours
    return [cells]


def _parse_nfo(data: bytes) -> list[Element]:
    """Return the elements at the top: several of episodes in one file.

    What is no XML is mended as media centres do: addresses after the element, bare ampersands,
    Windows-1252.
    """
    try:
        return [fromstring(data, forbid_dtd=True)]
    except ParseError:
        wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        try:
            text = data.decode("utf-16" if wide else "utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("cp1252", "replace")
        text = _NO_XML.sub("", _DECLARATION.sub("", text))
        text = _BARE_AMPERSAND.sub(_escape, text)
        found = list(fromstring(f"<all>{text}</all>", forbid_dtd=True))
        if not found:
            raise
        return found


def _escape(found: re.Match[str]) -> str:
    known = name2codepoint.get(found[1] or "")
    return f"&amp;{found[0][1:]}" if known is None else f"&#{known};"


def _read_nfo(root: Element) -> dict[str, Any]:
    cells = _read_element(root, _XML_DEPTH)
    cells = cells if isinstance(cells, dict) else {}
    # One of each catalogue of films, of which one may be the default.
    named = [one for one in root.findall("uniqueid") if (one.text or "").strip()]
    named.sort(key=lambda one: one.get("default") != "true")
    cells.pop("uniqueid", None)
    return {**cells, **({"uniqueid": named[0].text} if named else {}), "nfo": root.tag}


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
