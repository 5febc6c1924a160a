"""The commands: each puts rooms together, and is imported when it is called."""
