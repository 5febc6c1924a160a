"""The sample catalogue: videos that are drawn, not real, with titles that fit their pictures."""

from twinlens.samples.catalogue import SampleSummary, draw_sample

__all__ = ["SampleSummary", "draw_sample"]
