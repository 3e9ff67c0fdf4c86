"""Lesson 07: how text reaches the decoder."""

from lessons.text_conditioning import exercises as exercises  # registers them
