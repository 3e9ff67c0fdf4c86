"""Lesson 04: where the parameters sit, and where the memory goes."""

from lessons.parameters_and_memory import exercises as exercises  # registers them
