"""Fast twins of plain decoding: the same numbers, less around them. Nothing here is needed to understand a decoder."""
