"""Stage 2, text + tokens -> next token. `model.py` is the decoder; training, decoding and weights have folders."""
