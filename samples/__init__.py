"""The sample: videos that are drawn, not real, and a log of what drawn people do with them."""

from twinlens.samples.catalogue import SampleSummary, draw_sample
from twinlens.samples.events import EventSummary, draw_events

__all__ = ["EventSummary", "SampleSummary", "draw_events", "draw_sample"]
