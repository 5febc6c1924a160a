"""A run's result as `twinlens bench` writes it, with figures drawn from a plain model of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from twinlens.benchmarks.engines.result_file import FORMAT

TITLE_DIM = 512
SHARES = ("0.5", "0.1", "0.01", "0.001")
EFS = (16, 32, 64, 128, 256, 512)
LABELS = {
    "faiss-flat": "FAISS flat",
    "faiss-hnsw": "FAISS HNSW",
    "faiss-ivf": "FAISS IVF",
    "faiss-sq8": "FAISS SQ8",
    "qdrant-embedded": "Qdrant embedded",
    "qdrant-embedded-int8": "Qdrant embedded, int8",
    "qdrant-server-rest": "Qdrant server, REST",
    "qdrant-server-grpc": "Qdrant server, gRPC",
    "qdrant-local": "qdrant-client local mode",
}
PARTS = ("latency", "batches", "filters", "fusion", "cold", "clients", "changing")
# What one query costs beside walking the graph, and how much slower than FAISS it walks.
GRAPHS = {
    "faiss-hnsw": (0.01, 1.0),
    "qdrant-embedded": (0.05, 1.5),
    "qdrant-embedded-int8": (0.05, 0.9),
    "qdrant-server-rest": (1.6, 1.5),
    "qdrant-server-grpc": (0.6, 1.5),
}


def drawn_result(
    *,
    seed: int = 0,
    videos: Sequence[int] = (1_400, 20_000, 100_000),
    rounds: int = 5,
    noise: float = 0.03,
    slower: Mapping[str, float] | None = None,
    engines: Sequence[str] = tuple(LABELS),
) -> dict[str, Any]:
    """A finished run over ``videos``; times of an engine in ``slower`` are so many times longer."""
    drawing = _Drawing(np.random.default_rng(seed), rounds, noise, dict(slower or {}))
    return {
        "format": FORMAT,
        "machine": {
            "taken_at": "2026-11-21T12:00:00+00:00",
            "command": "twinlens bench --json engines.json",
            "commit": "0123456789abcdef0123456789abcdef01234567",
            "dirty": [],
            "python": "3.11.7",
            "system": "Linux 6.1 x86_64",
            "processor": "A processor <of some kind>",
            "cores": 2,
            "memory_bytes": 24 * 2**30,
            "load": [0.3, 0.4, 0.5],
            "disturbed": False,
            "versions": {"twinlens": "0.1.0", "faiss-cpu": "1.15.1", "qdrant-edge-py": "0.9.0"},
        },
        "options": {
            "limit": 10,
            "window": 200,
            "rrf_k": 5,
            "rounds": rounds,
            "threads": 1,
            "build_threads": 2,
            "seed": 0,
            "quick": False,
        },
        "finished": True,
        "sizes": [drawing.size(count, engines) for count in videos],
    }


class _Drawing:
    def __init__(
        self, rng: np.random.Generator, rounds: int, noise: float, slower: dict[str, float]
    ) -> None:
        self._rng = rng
        self._rounds = rounds
        self._noise = noise
        self._slower = slower

    def size(self, videos: int, engines: Sequence[str]) -> dict[str, Any]:
        reading_ms = videos * TITLE_DIM * 4 / 10e6
        return {
            "videos": videos,
            "vectors": {
                "source": "synthetic: a seeded mixture",
                "synthetic": True,
                "dims": {"title": TITLE_DIM, "thumbnail": 128},
                "queries": 500,
            },
            "reading": {"bytes": videos * TITLE_DIM * 4, "ms": self._around(reading_ms)},
            "loop": {"ms": self._latency(_flat_ms(videos))},
            "experiments": {
                name: self._experiment(name, videos)
                for name in engines
                if name != "qdrant-local" or videos <= 20_000
            },
            "disturbed": {},
            "parts": [*(f"build {name}" for name in engines), *PARTS],
        }

    def _experiment(self, name: str, videos: int) -> dict[str, Any]:
        factor = self._slower.get(name, 1.0)
        settings = _searches(name, videos)
        searches = {
            setting: {
                "setting": options,
                "exact": exact,
                "recall_at_10": recall,
                "queries": 500,
                "ms": self._latency(ms * factor),
                "engine_ms": self._latency(ms * factor * 0.4) if "server" in name else None,
            }
            for setting, options, exact, recall, ms in settings
        }
        chosen = next(
            (
                setting
                for setting, one in searches.items()
                if one["recall_at_10"] >= 0.98 and (not one["exact"] or len(searches) == 1)
            ),
            list(searches)[-1],
        )
        [ms] = (ms * factor for setting, *_, ms in settings if setting == chosen)
        recall = searches[chosen]["recall_at_10"]
        of_vectors = videos * (TITLE_DIM + 128) * 4
        graph = name in GRAPHS
        found: dict[str, Any] = {
            "engine": name,
            "label": LABELS[name],
            "build": {"m": 16, "ef_construct": 100} if graph else {},
            "environment": {"TUNED": "1"} if name == "faiss-hnsw" else {},
            "failed": None,
            "built": {
                "upload_s": videos * 2e-5,
                "index_s": videos * 6e-4 if graph else 0.0,
                "threads": 2,
                "disk_bytes": int(of_vectors * (1.4 if graph else 1)),
                "peak_bytes": int(of_vectors * 2.2),
                "indexed_vectors": 2 * videos if graph else None,
            },
            "memory": {
                "rss_bytes": int(of_vectors * 1.2) + 80_000_000,
                "anonymous_bytes": int(of_vectors * (0.1 if "qdrant" in name else 1.1)),
            },
            "cold": {
                "setting": chosen,
                "open_ms": [times * (30 + of_vectors / 2e6) for times in (1.0, 1.1, 0.9)],
                "first_query_ms": [times * ms * 8 for times in (1.0, 1.2, 1.1)],
            },
            "searches": searches,
            "chosen": chosen,
            "batch": {"queries": 500, "per_second": self._around(1300 / ms)},
            "clients": {
                "threads": {
                    str(clients): self._around(
                        1000 / ms * (1.05 if "embedded" in name else min(clients, 2) ** 0.9)
                    )
                    for clients in (1, 2, 4, 8)
                },
                "processes": {
                    str(clients): self._around(1000 / ms * min(clients, 2) ** 0.95)
                    for clients in (1, 2, 4, 8)
                },
            },
            "filtered": {
                share: {
                    "recall_at_10": recall,
                    "queries": 500,
                    "ms": self._latency(ms * (0.5 + 0.5 * float(share)) if not graph else ms * 1.5),
                }
                for share in SHARES
            },
            "fused": {
                "python": {"recall_at_10": recall, "queries": 500, "ms": self._latency(2.4 * ms)}
            },
        }
        if "server" in name:
            # What a server has in memory, it does not tell us; one index serves both protocols.
            del found["memory"], found["cold"]
            found["built"]["peak_bytes"] = None
            if name == "qdrant-server-grpc":
                found["built"] |= {
                    "upload_s": 0.0,
                    "index_s": 0.0,
                    "shared_with": LABELS["qdrant-server-rest"],
                }
        if "qdrant" in name:
            found["fused"]["engine"] = {
                "recall_at_10": recall - 0.01,
                "queries": 500,
                "ms": self._latency(2.1 * ms),
            }
            found["changing"] = {
                "without": {"ms": self._latency(ms, rounds=1)},
                "beside": {
                    "ms": self._latency(ms * 1.6, rounds=1),
                    "upserts_per_second": 900.0,
                    "deletes_per_second": 2500.0,
                },
            }
        return found

    def _around(self, value: float, rounds: int | None = None) -> list[float]:
        noise = self._rng.normal(0, self._noise, rounds or self._rounds)
        return (value * np.exp(noise)).tolist()

    def _latency(self, p50: float, rounds: int | None = None) -> dict[str, Any]:
        return {
            "p50": self._around(p50, rounds),
            "p95": self._around(p50 * 1.5, rounds),
            "p99": self._around(p50 * 2.1, rounds),
            "mean": self._around(p50 * 1.1, rounds),
            "histogram": [[p50 * 0.8, 900], [p50 * 1.0, 1300], [p50 * 1.26, 300]],
        }


def _searches(name: str, videos: int) -> list[tuple[str, dict[str, Any], bool, float, float]]:
    """Each setting: name, options, exact, recall, milliseconds."""
    flat_ms = _flat_ms(videos)
    exact = ("exact", {"exact": True}, True, 1.0)
    if name == "faiss-flat":
        return [(*exact, flat_ms)]
    if name == "qdrant-local":
        return [(*exact, 8 * flat_ms)]
    if name == "faiss-sq8":
        return [("scan", {}, False, 0.985, 0.4 * flat_ms)]
    if name == "faiss-ivf":
        return [
            (f"nprobe={probes}", {"nprobe": probes}, False, 1 - 0.5 / probes**0.8, share * flat_ms)
            for probes, share in ((1, 0.005), (4, 0.015), (16, 0.05), (64, 0.2))
        ]
    base, slowness = GRAPHS[name]
    found = [
        (
            f"ef={ef}",
            {"ef": ef},
            False,
            1 - 1.2 * (videos / 100_000) ** 0.3 / ef,
            base + slowness * 0.0004 * ef**0.9 * np.log(videos),
        )
        for ef in EFS
    ]
    return (
        found
        if name in ("faiss-hnsw", "qdrant-embedded-int8")
        else [(*exact, base + 1.1 * flat_ms), *found]
    )


def _flat_ms(videos: int) -> float:
    return 0.004 + 1.08 * videos * TITLE_DIM * 4 / 10e6
