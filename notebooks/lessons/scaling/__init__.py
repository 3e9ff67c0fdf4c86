"""Lesson 15: roofline, data parallelism, sharding."""

from lessons.scaling import exercises as exercises  # registers them
