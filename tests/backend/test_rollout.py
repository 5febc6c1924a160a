"""``twinlens serve`` while an index by other models is published, or the first of all."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest

from tests.backend.catalogue import Catalogue
from tests.backend.served import Served, publish_embedded, wait_until
from tests.fakes import ColourEncoder, OtherWordEncoder, WordEncoder
from twinlens.stores.generations import DataDir

CLIENTS = 8
OTHER_COLOURS = ColourEncoder(name="test:other-colours", fingerprint="00000000000000ee")
BY_TITLE = "/api/v1/search?q=kitchen&limit=10&weights=" + quote('{"words": 0, "thumbnail": 0}')


class AbsentEncoder(WordEncoder):
    """Words by a model that ``serve`` can't get."""

    def __init__(self) -> None:
        super().__init__(fingerprint="00000000000000dd")
        self.name = "test:absent"


def states(served: Served) -> set[str]:
    """What twenty answers of ``/readyz``, from whichever process, say of a newer index."""
    answers = [served.get("/readyz") for _ in range(20)]
    assert {status for status, _ in answers} == {200}
    return {body["newer"]["state"] if "newer" in body else "" for _, body in answers}


@pytest.mark.slow
def test_no_search_fails_while_another_model_is_rolled_out(tmp_path):
    data = publish_embedded(Catalogue(), tmp_path, "g1")
    with Served(data, "--workers", "2") as served:
        seen: list[str] = []
        stop = threading.Event()

        def keep_asking() -> None:
            while not stop.is_set():
                status, body = served.get(BY_TITLE)
                assert status == 200, body
                assert {hit["video"]["category"] for hit in body["hits"]} == {"kitchen"}
                seen.append(body["generation"])

        def wait_for(generation: str) -> None:
            wait_until(lambda: seen[-40:].count(generation) == 40)

        with ThreadPoolExecutor(CLIENTS) as pool:
            asking = [pool.submit(keep_asking) for _ in range(CLIENTS)]
            try:
                wait_for("g1")
                publish_embedded(Catalogue(titles=OtherWordEncoder()), tmp_path, "g2")
                published = len(seen)
                wait_for("g2")
                assert seen[published:].count("g1") > CLIENTS  # while the model was loaded
                publish_embedded(Catalogue(titles=AbsentEncoder()), tmp_path, "g3")
                wait_until(lambda: states(served) == {"no_model"})
                assert served.log().count("test:absent is nowhere") == 2  # once a process
                wait_for("g2")
                publish_embedded(Catalogue(thumbnails=OTHER_COLOURS), tmp_path, "g4")
                wait_for("g4")
                assert states(served) == {""}
            finally:
                stop.set()
        for one in asking:
            one.result()
        assert set(seen) == {"g1", "g2", "g4"}
        code, _, err = served.stop()
        assert (code, "Traceback" in err) == (0, False)


@pytest.mark.slow
def test_a_model_that_the_operator_named_stays(tmp_path):
    data = publish_embedded(Catalogue(), tmp_path, "g1")
    with Served(data, title_model="test:words") as served:
        publish_embedded(Catalogue(titles=OtherWordEncoder()), tmp_path, "g2")
        wait_until(lambda: states(served) == {"other_lenses"})
        assert served.get(BY_TITLE)[1]["generation"] == "g1"
        assert "title: test:other (00000000000000cc) became test:words" in served.log()
        # Of what the operator did not name, the new generation's is taken.
        publish_embedded(Catalogue(thumbnails=OTHER_COLOURS), tmp_path, "g3")
        wait_until(lambda: served.get(BY_TITLE)[1]["generation"] == "g3")
        assert states(served) == {""}


def test_without_an_index_it_starts_and_comes_up_by_itself(tmp_path):
    data = DataDir(tmp_path / "data")
    with Served(data, "--workers", "2") as served:
        assert served.line == f"TwinLens has no index to serve yet, and listens at {served.url}\n"
        assert served.get("/healthz") == (200, {"status": "ok"})
        for path in ("/readyz", BY_TITLE, "/api/v1/stats"):
            status, body = served.get(path)
            assert (status, body["code"]) == (503, "not_ready")
        assert "run `twinlens index SOURCE` first" in served.log()
        assert 'id="lenses">[]<' in served.ask("GET", "/")[2].decode()
        publish_embedded(Catalogue(titles=OtherWordEncoder()), data.path, "g1")
        # Each process comes up, though nobody searches.
        wait_until(lambda: {served.get("/readyz")[0] for _ in range(20)} == {200}, seconds=15)
        assert served.get(BY_TITLE)[1]["generation"] == "g1"
        assert '"name": "title"' in served.ask("GET", "/")[2].decode()
