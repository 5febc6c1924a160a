"""How a Qdrant server is told to keep a collection, in the classes of ``qdrant_client``."""

from __future__ import annotations

from typing import Any, Final

from qdrant_client import models

from twinlens.catalog.versions import refuse_newer
from twinlens.stores.address import CollectionLayout, Quantization
from twinlens.stores.base import Dims
from twinlens.stores.qdrant_schema import FULL_SCAN_THRESHOLD_KB, HNSW_EF_CONSTRUCT, HNSW_M
from twinlens.stores.server_client import ServerClient

GRAPH: Final = models.HnswConfigDiff(
    m=HNSW_M, ef_construct=HNSW_EF_CONSTRUCT, full_scan_threshold=FULL_SCAN_THRESHOLD_KB
)
# While videos are written: a graph would be built again and again.
_NO_GRAPH: Final = GRAPH.model_copy(update={"m": 0})
COLLECTION_FORMAT: Final = 1
_FORMAT: Final = "twinlens_format"
_TURBO_SINCE: Final = (1, 18)
# Above what TwinLens asks: 1,000 ranks, and some for what is left out of them; 1,000 videos of a
# scan; 30 seconds. It counts exactly, and by conditions on indexed fields alone.
_STRICT: Final = models.StrictModeConfig(
    enabled=True,
    max_query_limit=2000,
    max_timeout=60,
    unindexed_filtering_retrieve=False,
    unindexed_filtering_update=False,
    search_max_hnsw_ef=512,
    search_max_oversampling=4.0,
    upsert_max_batchsize=1000,
)
# In memory whatever the whole vectors are on. `always_ram`, as servers before 1.20 know no other.
_QUANTIZATIONS: Final[dict[Quantization, Any]] = {
    "none": None,
    "int8": models.ScalarQuantization(
        scalar=models.ScalarQuantizationConfig(
            type=models.ScalarType.INT8, quantile=0.99, always_ram=True
        )
    ),
    "binary": models.BinaryQuantization(binary=models.BinaryQuantizationConfig(always_ram=True)),
    "turbo": models.TurboQuantization(
        turbo=models.TurboQuantQuantizationConfig(
            bits=models.TurboQuantBitSize.BITS4, always_ram=True
        )
    ),
}


def require_server(server: ServerClient, layout: CollectionLayout) -> None:
    """Return if the server can keep a collection so.

    Raises:
        StoreError: it is too old.
    """
    server.require_version()
    if layout.quantization == "turbo":
        server.require_version(_TURBO_SINCE, to="quantise by TurboQuant")


def make_config(dims: Dims, layout: CollectionLayout) -> dict[str, Any]:
    """Return the options with which ``create_collection`` makes a collection without a graph."""
    on_disk = layout.on_disk or None
    # Dot on unit vectors is the cosine, and stores them as they are given.
    vectors = {
        name: models.VectorParams(size=dim, distance=models.Distance.DOT, on_disk=on_disk)
        for name, dim in dims.items()
        if dim is not None
    }
    sparse = {
        name: models.SparseVectorParams(
            index=models.SparseIndexParams(on_disk=True) if on_disk else None
        )
        for name, dim in dims.items()
        if dim is None
    }
    return {
        "vectors_config": vectors,
        "sparse_vectors_config": sparse,
        "hnsw_config": _NO_GRAPH,
        "shard_number": layout.shards,
        "replication_factor": layout.replicas,
        "write_consistency_factor": layout.write_consistency,
        "on_disk_payload": on_disk,
        "quantization_config": _QUANTIZATIONS[layout.quantization],
        "strict_mode_config": _STRICT if layout.strict else None,
        "metadata": {_FORMAT: COLLECTION_FORMAT},
    }


def refuse_newer_collection(collection: str, info: models.CollectionInfo) -> None:
    """Return unless a newer TwinLens made the collection, by what its metadata say.

    A server that is too old for metadata keeps none; then its manifest alone speaks for it.

    Raises:
        StoreError: one did.
    """
    made_in = (info.config.metadata or {}).get(_FORMAT, COLLECTION_FORMAT)
    refuse_newer(f"the collection {collection!r} has", made_in, COLLECTION_FORMAT)
