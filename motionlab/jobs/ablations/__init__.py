"""Grids of trainings: tokenizers and training strategies compared over seeds."""
