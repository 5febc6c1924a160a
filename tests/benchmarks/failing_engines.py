"""Engines that fail, in a module of their own: each of their processes imports it."""

from __future__ import annotations

from twinlens.benchmarks.engines.faiss_engines import Flat


class FailsUnderFilters(Flat):
    """An engine that does all but one thing."""

    def search(self, name, query, *, limit, setting, share=None):
        if share is not None:
            raise RuntimeError("no filters today")
        return super().search(name, query, limit=limit, setting=setting, share=share)


class FailsOnce(Flat):
    """An engine that can't be uploaded to the first time."""

    def upload(self):
        seen = self.directory.parent / "failed-once"
        if not seen.exists():
            seen.touch()
            raise RuntimeError("the disk is full today")
        return super().upload()


FAILS_UNDER_FILTERS = f"{__name__}:{FailsUnderFilters.__name__}"
FAILS_ONCE = f"{__name__}:{FailsOnce.__name__}"
