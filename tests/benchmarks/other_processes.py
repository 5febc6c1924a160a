"""What other processes make, in a module of their own, which each of them imports."""

from __future__ import annotations

import os
import signal

from twinlens.benchmarks.engines.faiss_engine import Faiss


class FailsUnderFilters(Faiss):
    """An engine that does all but one thing."""

    def search(self, query):
        if query.share is not None:
            raise RuntimeError("no filters today")
        return super().search(query)


class Dies(Faiss):
    """An engine whose process is killed while it builds."""

    def upload(self, *, threads):
        os.kill(os.getpid(), signal.SIGKILL)
        return super().upload(threads=threads)


class Environment:
    """Tells that of its process."""

    def copy(self):
        return dict(os.environ)


FAILS_UNDER_FILTERS = f"{__name__}:{FailsUnderFilters.__name__}"
DIES = f"{__name__}:{Dies.__name__}"
