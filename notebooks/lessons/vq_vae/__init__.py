"""Lesson 02: how VQ-VAE turns motion into tokens, and why its codebook dies."""

from lessons.vq_vae import exercises as exercises  # registers them
