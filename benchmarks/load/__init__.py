"""The served API under load."""
