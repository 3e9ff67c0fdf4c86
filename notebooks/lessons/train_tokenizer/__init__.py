"""Lesson 11: train stage 1."""

from lessons.train_tokenizer import exercises as exercises  # registers them
