"""What is claimed of speed and size, as commands that measure it."""
