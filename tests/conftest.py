"""What holds for every test."""

from __future__ import annotations

from hypothesis import settings

# The same examples in every run: a red run is to be the change's doing.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")
