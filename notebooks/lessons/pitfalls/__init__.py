"""The museum of lesson 16: faults of published training code, one file each, and how they are shown."""

from lessons.pitfalls import exercises as exercises  # registers them
