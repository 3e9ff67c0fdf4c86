"""Captions to vectors: encoders, caption choice, cache, and a small T5 that shows how such an encoder is trained."""
