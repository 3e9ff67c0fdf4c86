"""Lesson 03: FSQ compared with VQ-VAE."""

from lessons.fsq_vs_vq_vae import exercises as exercises  # registers them
