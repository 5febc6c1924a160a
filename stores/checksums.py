"""What a generation's files were when it was published, a checksum for each block of them.

A published generation never changes, so whatever differs later is damage: of the disk, of a copy,
or somebody's. The manifest names the digest of the list, which so can't be lost unnoticed.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Final

from twinlens.catalog.errors import StoreCorrupt
from twinlens.catalog.files import write_atomically
from twinlens.catalog.versions import refuse_newer
from twinlens.stores.copying import find_stretches
from twinlens.stores.generations import SUGGESTIONS_FILE, DataDir, Manifest

# What a file's name begins with, or several such.
Part = str | tuple[str, ...]

CHECKSUMS_FILE: Final = "checksums.json"
CHECKSUMS_FORMAT: Final = 1  # in which a block is of 1 MiB
QDRANT_FILES: Final = "qdrant/"
MIRROR_FILES: Final = "faiss/"
FREQUENCY_FILES: Final = "frequencies/"
_PARTS: Final = (QDRANT_FILES, MIRROR_FILES, FREQUENCY_FILES)
WAY_OUT: Final = "`twinlens repair` makes a whole index of the half that is"
_BLOCK_BYTES: Final = 1024 * 1024
_ZEROS: Final = bytes(_BLOCK_BYTES)
_NAMED: Final = 3
_LENS: Final = re.compile(
    r"faiss/(.+)\.faiss|frequencies/(.+)\.npy|qdrant/.*/vector_(?:storage|index)-([^/]+)/.*"
)


def write_checksums(folder: Path) -> str:
    """Write those of a generation's closed files, and return what its manifest calls them by."""
    files = sorted(
        path
        for pattern in (*(f"{part}**/*" for part in _PARTS), "*.sqlite", SUGGESTIONS_FILE)
        for path in folder.glob(pattern)
        if path.is_file()
    )
    values = {
        "format": CHECKSUMS_FORMAT,
        "files": {
            path.relative_to(folder).as_posix(): [path.stat().st_size, _sum_blocks(path)]
            for path in files
        },
    }
    content = json.dumps(values, separators=(",", ":")).encode()
    write_atomically(folder / CHECKSUMS_FILE, content)
    return _digest(content)


def find_changed(
    data: DataDir, manifest: Manifest, *, part: Part = "", copy: Path | None = None
) -> dict[str, str]:
    """Return a phrase for each file of a generation that is not as it was published, by its name.

    Only files of ``part`` are looked at, and those in ``copy`` where a copy of the generation is
    there. One that was published without checksums has none that changed.

    Raises:
        StoreError: a newer TwinLens wrote the checksums.
    """
    if manifest.checksums is None:
        return {}
    folder = data.locate_generation(manifest.generation)
    path = folder / CHECKSUMS_FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        return {path.name: f"{path} can't be read: {error.strerror}"}
    if _digest(content) != manifest.checksums:
        return {path.name: f"{path} is not as it was published"}
    values = json.loads(content)
    refuse_newer(f"{path} has", values["format"], CHECKSUMS_FORMAT)
    changed = {}
    for name, (size, sums) in values["files"].items():
        if name.startswith(part):
            file = (copy or folder) / name
            how = _compare(file, size, sums)
            if how is not None:
                changed[name] = f"{file}{_name_lens(name)} {how}"
    return changed


def require_unchanged(
    data: DataDir,
    manifest: Manifest,
    *,
    part: Part = "",
    copy: Path | None = None,
    way_out: str = "",
) -> None:
    """Return if the files of a generation are as they were published; see ``find_changed``.

    Raises:
        StoreCorrupt: they are not; the message ends with ``way_out``.
    """
    changed = list(find_changed(data, manifest, part=part, copy=copy).values())
    if changed:
        more = len(changed) - _NAMED
        said = "; ".join(changed[:_NAMED]) + (f"; and {more} more" if more > 0 else "")
        raise StoreCorrupt(f"{said}. {way_out}" if way_out else said)


def _compare(file: Path, size: int, sums: list[int]) -> str | None:
    try:
        found = file.stat().st_size
        if found != size:
            return f"has {found} bytes, and had {size} when it was published"
        now = _sum_blocks(file)
    except FileNotFoundError:
        return "is gone"
    except OSError as error:
        return f"can't be read: {error.strerror}"
    for number, (was, found) in enumerate(zip(sums, now, strict=True)):
        if was != found:
            at = number * _BLOCK_BYTES
            end = min(at + _BLOCK_BYTES, size)
            return f"has changed since it was published, between bytes {at} and {end}"
    return None


def _sum_blocks(file: Path) -> list[int]:
    """Return the CRC-32 of each block of a file; holes, which Qdrant's have, are not read."""
    with file.open("rb") as reading:
        descriptor, size = reading.fileno(), os.fstat(reading.fileno()).st_size
        sums = [_sum_zeros(min(_BLOCK_BYTES, size - at)) for at in range(0, size, _BLOCK_BYTES)]
        block = bytearray(_BLOCK_BYTES)
        done = 0
        for start, end in find_stretches(descriptor, size):
            for at in range(max(start // _BLOCK_BYTES * _BLOCK_BYTES, done), end, _BLOCK_BYTES):
                read = os.preadv(descriptor, [block], at)
                # In memory there are no holes, but zeros: to see that takes a fifth of the time.
                if read < _BLOCK_BYTES or block != _ZEROS:
                    sums[at // _BLOCK_BYTES] = zlib.crc32(memoryview(block)[:read])
                done = at + _BLOCK_BYTES
    return sums


@cache
def _sum_zeros(count: int) -> int:
    return zlib.crc32(bytes(count))


def _digest(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()


def _name_lens(name: str) -> str:
    found = _LENS.fullmatch(name)
    return f" (of the lens {found[1] or found[2] or found[3]})" if found else ""
