"""Settings of the fusion, chosen on one half of labelled queries and judged on the other."""
