"""What is measured: a sweep over clients, the cost beside encoder and engine, endurance."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

from twinlens.benchmarks.load.index import Encoders
from twinlens.benchmarks.load.overhead import engine_share, overhead
from twinlens.benchmarks.load.summary import figures, slice_line, summarize, windows
from twinlens.benchmarks.load.traffic import (
    PICTURE_SHARE,
    POPULAR_SHARE,
    POPULAR_TEXTS,
    SIMILAR_SHARE,
    Asked,
    AskedBefore,
    Kind,
    PeerSpelling,
    Spelling,
    Traffic,
    TwinLensSpelling,
    traffic_over,
    write_requests,
)
from twinlens.benchmarks.load.wrk import Answers, drive, wrk_version
from twinlens.benchmarks.loopback import Running, serve_command, started
from twinlens.benchmarks.usage import ProcessorWatch, memory_of, watched_memory
from twinlens.catalog.errors import TwinLensError
from twinlens.evaluate.machine import machine
from twinlens.stores.flat import FlatReader
from twinlens.stores.generations import DataDir, Manifest

TWINLENS: Final = "twinlens"
PEER: Final = "peer"
# Above this many cores for others, a slice says more about the neighbours.
MOST_FOR_OTHERS: Final = 0.15
# Enough lines for a server this fast; beyond that the tool begins anew.
_REQUESTS_PER_S: Final = 400
_ENGINE_TEXTS: Final = 100

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured. A slice is one number of clients at one server for ``slice_s``.

    ``serve_options`` are given to ``twinlens serve`` beside the data directory; without any it runs
    as it is deployed. ``variants`` are more of such options, by name: servers that stand beside it
    in the sweep. 0 seconds of endurance leave that part out.
    """

    clients: Sequence[int]
    rounds: int
    slice_s: float
    warm_up_s: float
    overhead_s: float
    endurance_s: float
    endurance_clients: int
    window_s: float
    memory_every_s: float
    serve_options: Sequence[str] = ()
    peer_threads: int = 1
    variants: Mapping[str, Sequence[str]] = field(default_factory=dict)
    seed: int = 0


@dataclass(frozen=True, slots=True)
class _Server:
    name: str
    running: Running
    spelling: Spelling
    asked_before: AskedBefore


def run(data: DataDir, manifest: Manifest, encoders: Encoders, plan: Plan) -> dict[str, Any]:
    """The whole measurement as JSON values: machine, index, traffic, slices, summary and ``met``.

    ``encoders`` are those of the index.

    Raises:
        TwinLensError: a server did not start, or the load tool failed.
    """
    record = machine()
    traffic = _traffic(data, manifest, seed=plan.seed)
    with tempfile.TemporaryDirectory(prefix="twinlens-load-") as temporary:
        scratch = Path(temporary)
        bench = _Bench(data, encoders, plan, traffic, scratch)
        slices, memory, cost = bench.sweep()
        endurance = bench.endurance() if plan.endurance_s else None
    report: dict[str, Any] = {
        "benchmark": "load",
        "machine": record,
        "load_at_end": [round(value, 2) for value in os.getloadavg()],
        "tool": wrk_version(),
        "plan": asdict(plan),
        "index": {
            "source": manifest.source,
            "counts": dict(manifest.counts),
            "dims": dict(manifest.dense_dims),
            "encoders": {name: manifest.lenses[name].model for name in manifest.dense_dims},
            "build_s": dict(manifest.timings_s),
        },
        "traffic": {
            "shares": {
                str(Kind.TEXT): round(1 - PICTURE_SHARE - SIMILAR_SHARE, 4),
                str(Kind.SIMILAR): SIMILAR_SHARE,
                str(Kind.PICTURE): PICTURE_SHARE,
            },
            "texts": f"{POPULAR_SHARE:.0%} of {POPULAR_TEXTS} popular ones by Zipf's law, "
            "the others drawn from all titles",
        },
        "memory_after_sweep": memory,
        "slices": slices,
        "overhead": cost,
        "endurance": endurance,
    }
    report["summary"], report["met"] = summarize(report)
    return report


def _traffic(data: DataDir, manifest: Manifest, *, seed: int) -> Traffic:
    with closing(FlatReader.open(data.mirror_path(manifest.generation))) as mirror:
        return traffic_over([video for batch in mirror.scan() for video in batch], seed=seed)


class _Bench:
    """The parts of the measurement over one index."""

    def __init__(
        self, data: DataDir, encoders: Encoders, plan: Plan, traffic: Traffic, scratch: Path
    ) -> None:
        self._data = data
        self._encoders = encoders
        self._plan = plan
        self._traffic = traffic
        self._scratch = scratch

    def sweep(self) -> tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any]]:
        """Every server at every number of clients, in turns, round by round.

        And the memory of each after that, and what a text costs beside encoder and engine.
        """
        plan = self._plan
        slices = []
        with ExitStack() as opened:
            servers = [
                opened.enter_context(self._served(name, options))
                for name, options in [(TWINLENS, plan.serve_options), *plan.variants.items()]
            ]
            servers.append(opened.enter_context(self._peer()))
            for server in servers:
                self._drive(server, self._asked(plan.warm_up_s), clients=4, seconds=plan.warm_up_s)
            watch = ProcessorWatch({server.name: server.running.pid for server in servers})
            for number in range(plan.rounds):
                for clients in plan.clients:
                    asked = self._asked(plan.slice_s)
                    for place in range(len(servers)):
                        # The order turns, so that none always comes after the same other.
                        server = servers[(number + place) % len(servers)]
                        watch.shares()
                        answers, before = self._drive(
                            server, asked, clients=clients, seconds=plan.slice_s
                        )
                        cores = watch.shares()
                        slices.append(
                            {
                                "server": server.name,
                                "round": number,
                                "clients": clients,
                                **figures(answers),
                                "texts_asked_before": before,
                                "cores": cores,
                                "disturbed": _disturbed(cores),
                            }
                        )
                        logger.info("%s", slice_line(slices[-1]))
            memory = {server.name: memory_of(server.running.pid).to_json() for server in servers}
            cost = self._overhead(servers[0])
        return slices, memory, cost

    def _overhead(self, server: _Server) -> dict[str, Any]:
        """What a text that is not remembered costs beside encoder and engine; one client."""
        plan = self._plan
        texts = self._traffic.new_texts(int(plan.overhead_s * _REQUESTS_PER_S))
        asked = [Asked(Kind.TEXT, text) for text in texts]
        watch = ProcessorWatch({TWINLENS: server.running.pid})
        answers, before = self._drive(server, asked, clients=1, seconds=plan.overhead_s)
        cores = watch.shares()
        share = engine_share(
            self._data,
            texts[:_ENGINE_TEXTS],
            title_encoder=self._encoders.titles,
            thumbnail_encoder=self._encoders.thumbnails,
        )
        return {
            **overhead(answers, engine_share=share),
            "failed": answers.failed,
            "texts_asked_before": before,
            "cores": cores,
            "disturbed": _disturbed(cores),
        }

    def endurance(self) -> dict[str, Any]:
        """A fresh server under steady load: answers and memory over time."""
        plan = self._plan
        asked = self._asked(plan.endurance_s)
        with self._served(TWINLENS, plan.serve_options) as server:
            watch = ProcessorWatch({TWINLENS: server.running.pid})
            begun_s = time.monotonic()
            with watched_memory(server.running.pid, every_s=plan.memory_every_s) as memory:
                answers, before = self._drive(
                    server, asked, clients=plan.endurance_clients, seconds=plan.endurance_s
                )
            cores = watch.shares()
        return {
            "clients": plan.endurance_clients,
            **figures(answers),
            "texts_asked_before": before,
            "cores": cores,
            "disturbed": _disturbed(cores),
            "windows": windows(answers, begun_s=begun_s, window_s=plan.window_s),
            "memory": [sample.to_json() for sample in memory],
        }

    def _asked(self, seconds: float) -> list[Asked]:
        return list(islice(self._traffic, max(1, int(seconds * _REQUESTS_PER_S))))

    def _drive(
        self, server: _Server, asked: Sequence[Asked], *, clients: int, seconds: float
    ) -> tuple[Answers, float | None]:
        """What came back, and the share of its texts that this server was asked before."""
        requests = self._scratch / "requests.tsv"
        write_requests(asked, server.spelling, requests)
        answers = drive(
            server.running.address,
            requests,
            clients=clients,
            seconds=seconds,
            scratch=self._scratch,
        )
        if not answers.status.size:
            raise TwinLensError(f"{server.name} gave no answer in {seconds:g} s: {answers.errors}")
        return answers, server.asked_before.share(asked, answers.status.size)

    @contextmanager
    def _served(self, name: str, options: Sequence[str]) -> Iterator[_Server]:
        spelling = TwinLensSpelling(self._data.thumbnails, self._scratch)
        log = self._scratch / f"{name}.log"  # a line for every request
        with started(serve_command(self._data.path, *options), log=log) as running:
            yield _Server(name, running, spelling, AskedBefore())

    @contextmanager
    def _peer(self) -> Iterator[_Server]:
        command = [sys.executable, "-m", "twinlens.benchmarks.load.peer", "--data-dir"]
        spelling = PeerSpelling(self._data.thumbnails, self._scratch)
        with started(
            [*command, str(self._data.path.resolve()), "--threads", str(self._plan.peer_threads)]
        ) as running:
            yield _Server(PEER, running, spelling, AskedBefore())


def _disturbed(cores: dict[str, float]) -> bool:
    return cores["others"] > MOST_FOR_OTHERS
