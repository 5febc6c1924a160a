"""A title or a thumbnail becomes a unit vector."""
