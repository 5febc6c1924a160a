"""The served API under load, beside the way that the nearest peer serves."""
