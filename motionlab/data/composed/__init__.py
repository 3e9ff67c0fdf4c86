"""The bundled source: a few dozen real clips, joined, mirrored and re-timed into a corpus with captions."""
