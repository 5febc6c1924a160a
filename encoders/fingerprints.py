"""Fingerprints: the identity of an encoder, computed without loading it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from twinlens.catalog.digests import join_with_lengths

_CHUNK_BYTES: Final = 1 << 20


def make_fingerprint(*parts: str) -> str:
    """Sixteen hex digits over ``parts``; no two lists of parts share one by concatenation."""
    joined = join_with_lengths(part.encode() for part in parts)
    return hashlib.sha256(joined).hexdigest()[:16]


def digest_files(root: Path, files: Iterable[Path]) -> str:
    """SHA-256 (hex) over the relative names and contents of ``files``, in sorted order."""
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.relative_to(root).as_posix().encode() + b"\0")
        with file.open("rb") as handle:
            while chunk := handle.read(_CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()
