"""Lesson 12: train stage 2, and generate."""

from lessons.train_text_to_motion import exercises as exercises  # registers them
