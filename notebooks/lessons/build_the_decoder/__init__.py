"""Lesson 18: the decoder, built by hand."""

from lessons.build_the_decoder import exercises as exercises  # registers them
