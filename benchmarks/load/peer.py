"""The yardstick: a service as the nearest peer writes it, over the same index and encoders.

One Flask route on Flask's own server, one request at a time: encode, exact search in a flat FAISS
index, look the hits up, answer. Nothing is fused, so it asks the one index that fits: the titles
for a text and for a video, the thumbnails for a picture.

Source: rom1504/clip-retrieval, ``clip_back.py``, whose ``/knn-service`` does this.
"""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any, Final

import click
from flask import Flask, Response, jsonify, request
from PIL import Image
from werkzeug.serving import WSGIRequestHandler, make_server

from twinlens.catalog.vectors import Vector
from twinlens.encoders.base import ThumbnailEncoder, TitleEncoder
from twinlens.encoders.lenses import THUMBNAIL, TITLE
from twinlens.encoders.load import load_thumbnail_encoder, load_title_encoder
from twinlens.stores.base import StoredVideo, VectorQuery
from twinlens.stores.flat import FlatReader
from twinlens.stores.generations import DataDir

HITS: Final = 20


def peer_app(mirror: FlatReader, titles: TitleEncoder, thumbnails: ThumbnailEncoder) -> Flask:
    """The service over a FAISS mirror."""
    app = Flask(__name__)

    def query(body: dict[str, Any]) -> tuple[str, Vector]:
        if "text" in body:
            return TITLE, titles.encode_queries([body["text"]])[0]
        if "picture" in body:
            picture = Image.open(io.BytesIO(base64.b64decode(body["picture"]))).convert("RGB")
            return THUMBNAIL, thumbnails.encode([picture])[0]
        stored = mirror.get([body["similar"]], with_vectors=True)[body["similar"]]
        return TITLE, stored.vectors[TITLE]

    def hit(video: StoredVideo, similarity: float) -> dict[str, Any]:
        return {**video.payload, "id": video.video_id, "similarity": similarity}

    @app.post("/knn-service")
    def knn_service() -> Response:
        name, vector = query(request.get_json())
        [found] = mirror.search([VectorQuery(name, vector, HITS)])
        stored = mirror.get([one.video_id for one in found])
        answer = jsonify([hit(stored[one.video_id], one.score) for one in found])
        # Not the peer's: the load tool knows its answers by this.
        answer.headers["X-Request-Id"] = request.headers.get("X-Request-Id", "")
        return answer

    return app


class _Silent(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """A line for every request would be the only thing here that TwinLens doesn't do."""


@click.command()
@click.option("--data-dir", type=click.Path(path_type=Path), required=True)
@click.option("--threads", type=click.IntRange(min=1), required=True, help="Of each encoder.")
def main(data_dir: Path, threads: int) -> None:
    """Serve the published index in ``data_dir`` the peer's way, on a free port."""
    data = DataDir(data_dir)
    manifest = data.published()
    names = {name: record.model for name, record in manifest.lenses.items()}
    titles = load_title_encoder(names[TITLE], threads=threads)
    thumbnails = load_thumbnail_encoder(names[THUMBNAIL], threads=threads)
    thumbnails.encode([Image.new("RGB", thumbnails.input_size, "grey")])
    titles.encode_queries(["warm"])
    # One thread: FAISS shares out queries among threads, and here is one at a time.
    mirror = FlatReader.open(data.mirror_path(manifest.generation))
    app = peer_app(mirror, titles, thumbnails)
    server = make_server("127.0.0.1", 0, app, threaded=False, request_handler=_Silent)
    click.echo(
        f"the peer serves {manifest.counts['videos']:,} videos at "
        f"http://127.0.0.1:{server.server_port}"
    )
    server.serve_forever()


if __name__ == "__main__":
    main()
