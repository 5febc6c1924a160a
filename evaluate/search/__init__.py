"""Search measured on labelled queries: tasks, rankings, metrics, report.

A task is a catalogue, queries and what they should find. The catalogue is indexed with the real
encoders in the embedded engine, and asked through the backend's own search.
"""
