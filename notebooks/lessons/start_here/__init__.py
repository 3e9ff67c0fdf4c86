"""Lesson 00: where to start, and the capacity of this machine."""

from lessons.start_here import exercises as exercises  # registers them
