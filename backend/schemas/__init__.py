"""What callers send and get: typed models, and what answers are made of."""
