"""Stage 1, motion <-> tokens: convolutions, model, losses."""
