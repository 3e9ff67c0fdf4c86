"""Lesson 10: gradient accumulation, warm-up and cosine."""

from lessons.accumulation_and_schedules import exercises as exercises  # registers them
