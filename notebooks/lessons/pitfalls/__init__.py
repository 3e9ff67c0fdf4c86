"""What lesson 16 needs: faults of published training code, one file each, and what shows them."""

from lessons.pitfalls import exercises as exercises  # registers them
