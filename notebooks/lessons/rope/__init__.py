"""Lesson 05: rotary positions."""

from lessons.rope import exercises as exercises  # registers them
