"""Lesson 01: what a motion is."""

from lessons.motion_data import exercises as exercises  # registers them
