"""How good candidates and their order are, on a log: all videos ranked, none sampled."""
