"""A job by encoders that load nothing, over a server: SOURCE DATA_DIR URL GRPC_PORT ALIAS."""

import sys
from pathlib import Path

from tests.indexer.conftest import CountingThumbnails, CountingTitles
from twinlens.catalog.sources import RejectsFile, open_source
from twinlens.encoders.lenses import own_lenses
from twinlens.indexer.job import IndexJob, JobOptions
from twinlens.stores.address import ServerAddress
from twinlens.stores.engines import ServerEngine
from twinlens.stores.generations import DataDir
from twinlens.stores.server_client import ServerClient


def main(source: str, path: str, url: str, grpc_port: str, alias: str) -> None:
    data = DataDir(Path(path))
    client = ServerClient.connect(ServerAddress(url, grpc_port=int(grpc_port)))
    engine = ServerEngine(client, collection=alias)
    options = JobOptions(source_name=source, prune=True)
    lenses = own_lenses(CountingTitles(), CountingThumbnails())
    job = IndexJob(data, engine, lenses, options)
    job.run(open_source(source), RejectsFile(data.path / "rejects.jsonl"))
    client.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
