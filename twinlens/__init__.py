"""Search and recommendation for videos, by title and by thumbnail."""

__version__ = "0.1.0"
