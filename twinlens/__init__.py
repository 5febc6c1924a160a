"""Search and recommendation for videos, by title and by thumbnail."""
