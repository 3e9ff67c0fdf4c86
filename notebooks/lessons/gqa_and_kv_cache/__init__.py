"""Lesson 06: shared heads and the key-value cache."""

from lessons.gqa_and_kv_cache import exercises as exercises  # registers them
