"""Lesson 14: train a vision-language-action policy."""

from lessons.vla import exercises as exercises  # registers them
