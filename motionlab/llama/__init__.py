"""Stage 2, text + tokens -> tokens: rope, attention, block, masks, model, generate."""
