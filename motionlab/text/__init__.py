"""Captions to vectors: encoders, caption choice, cache."""
