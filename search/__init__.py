"""Finding: rankings of the lenses, fused; browsing, facets, cursors. Knows no HTTP."""
