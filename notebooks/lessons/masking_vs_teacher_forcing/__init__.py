"""Lesson 08: masking compared with teacher forcing."""

from lessons.masking_vs_teacher_forcing import exercises as exercises  # registers them
