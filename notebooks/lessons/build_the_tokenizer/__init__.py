"""Lesson 19: the tokenizer, built by hand."""

from lessons.build_the_tokenizer import exercises as exercises  # registers them
