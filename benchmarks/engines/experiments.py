"""What is compared, as data: every engine with the settings it is built with and searched with."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from twinlens.benchmarks.engines.base import Engine, Setting
from twinlens.benchmarks.engines.vectors import VectorSet

_HERE: Final = "twinlens.benchmarks.engines"
EXACT: Final[Setting] = {"exact": True}
FLAT: Final = "faiss-flat"
FLAT_IN_MEMORY: Final = "faiss-flat-memory"
EMBEDDED: Final = "qdrant-embedded"


@dataclass(frozen=True, slots=True)
class Experiment:
    """One engine, what its index is built with, and the settings it is searched with, in turn.

    ``engine`` is where its class is found: imported in the process that measures it, so that none
    carries the libraries of another. ``most_videos``: above that it is left out. A
    ``variant`` is another engine with other settings: only its latency and recall are measured, and
    a quick run leaves it out. An index ``on_server`` is not removed with the work directory.
    ``environment`` is that of its processes beside what all have.
    ``memory_per_byte`` and ``disk_per_byte``: what it needs for each byte of vectors, to be safe.
    """

    name: str
    label: str
    engine: str
    searches: Mapping[str, Setting]
    build: Mapping[str, Any] = field(default_factory=dict)
    most_videos: int | None = None
    variant: bool = False
    on_server: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    memory_per_byte: float = 1.2
    disk_per_byte: float = 1.2

    def make(self, vectors: VectorSet, directory: Path) -> Engine:
        """The engine, over these vectors, with its index in ``directory``."""
        module, _, name = self.engine.partition(":")
        made: Engine = getattr(importlib.import_module(module), name)(
            vectors, directory, build=self.build
        )
        return made


def _by(key: str, *values: int, **more: Any) -> dict[str, Setting]:
    return {f"{key}={value}": {key: value, **more} for value in values}


_HNSW: Final = {"m": 16, "ef_construct": 100}
# For what FAISS reads into memory: large pages where the system gives them on request, as is usual.
# A search among a million small ones waits for the tables of addresses too.
_LARGE_PAGES: Final = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
_LOCAL_MODE_MOST: Final = 20_000
# One more graph each: enough to choose by, too many to build at a million.
_SETTINGS_COMPARED_MOST: Final = 100_000

EXPERIMENTS: Final = (
    Experiment(
        FLAT, "FAISS flat", f"{_HERE}.faiss_engines:Flat", {"exact": EXACT}, memory_per_byte=1.0
    ),
    Experiment(
        FLAT_IN_MEMORY,
        "FAISS flat, in memory",
        f"{_HERE}.faiss_engines:FlatInMemory",
        {"exact": EXACT},
        environment=_LARGE_PAGES,
        memory_per_byte=1.0,
    ),
    Experiment(
        "faiss-hnsw",
        "FAISS HNSW",
        f"{_HERE}.faiss_engines:Hnsw",
        _by("ef", 16, 32, 64, 128, 256, 512),
        build=_HNSW,
        environment=_LARGE_PAGES,
        memory_per_byte=1.2,
        disk_per_byte=1.2,
    ),
    Experiment(
        "faiss-ivf",
        "FAISS IVF",
        f"{_HERE}.faiss_engines:Ivf",
        _by("nprobe", 1, 4, 16, 64, 256),
        build={"lists_by_square_root": 4},
        environment=_LARGE_PAGES,
        memory_per_byte=0.9,
        disk_per_byte=0.9,
    ),
    Experiment(
        "faiss-sq8",
        "FAISS SQ8",
        f"{_HERE}.faiss_engines:Sq8",
        {"scan": {}},
        environment=_LARGE_PAGES,
        memory_per_byte=0.3,
        disk_per_byte=0.3,
    ),
    Experiment(
        EMBEDDED,
        "Qdrant embedded",
        f"{_HERE}.embedded_engine:Embedded",
        {"exact": EXACT, **_by("ef", 16, 32, 64, 128, 256, 512)},
        build={**_HNSW, "quantization": None},
        memory_per_byte=1.3,
        disk_per_byte=2.5,
    ),
    Experiment(
        "qdrant-embedded-int8",
        "Qdrant embedded, int8",
        f"{_HERE}.embedded_engine:Embedded",
        {
            "ef=64, no rescoring": {"ef": 64, "oversampling": 1.0, "rescore": False},
            **{
                f"ef={ef}, rescored": {"ef": ef, "oversampling": 2.0}
                for ef in (16, 32, 64, 128, 256, 512)
            },
            **{
                f"ef={ef}, {oversampling}x rescored": {"ef": ef, "oversampling": oversampling}
                for ef, oversampling in ((128, 4.0), (256, 8.0), (512, 16.0))
            },
        },
        build={**_HNSW, "quantization": "int8"},
        memory_per_byte=1.5,
        disk_per_byte=3.0,
    ),
    *(
        Experiment(
            f"qdrant-embedded-{name}",
            f"Qdrant embedded, {label}",
            f"{_HERE}.embedded_engine:Embedded",
            _by("ef", 16, 32, 64, 128, 256, 512),
            build={**_HNSW, "quantization": None, **build},
            most_videos=_SETTINGS_COMPARED_MOST,
            variant=True,
            memory_per_byte=1.3,
            disk_per_byte=2.5,
        )
        for name, label, build in (
            ("m8", "m 8", {"m": 8}),
            ("m32", "m 32, ef_construct 200", {"m": 32, "ef_construct": 200}),
            ("efc200", "ef_construct 200", {"ef_construct": 200}),
        )
    ),
    Experiment(
        "qdrant-local",
        "qdrant-client local mode",
        f"{_HERE}.client_engines:LocalMode",
        {"exact": EXACT},
        most_videos=_LOCAL_MODE_MOST,
        memory_per_byte=3.0,
        disk_per_byte=6.0,
    ),
)


VARIANTS: Final = frozenset(one.name for one in EXPERIMENTS if one.variant)


def server_experiments(url: str) -> tuple[Experiment, ...]:
    """The same for the Qdrant server at ``url``, by REST and by gRPC, over one collection."""
    searches = {"exact": EXACT, **_by("ef", 16, 32, 64, 128, 256, 512)}
    build = {**_HNSW, "segments": 1, "quantization": None, "url": url}
    return tuple(
        Experiment(
            f"qdrant-server-{transport}",
            f"Qdrant server, {label}",
            f"{_HERE}.client_engines:Server",
            searches,
            build={**build, "transport": transport},
            on_server=True,
            memory_per_byte=0.2,
            disk_per_byte=0.0,
        )
        for transport, label in (("rest", "REST"), ("grpc", "gRPC"))
    )
