"""Lesson 09: mixed precision, loss scaling, underflow."""

from lessons.mixed_precision import exercises as exercises  # registers them
