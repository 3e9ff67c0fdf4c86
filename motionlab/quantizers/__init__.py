"""Vectors to codes: one file each, one interface, usage statistics."""
