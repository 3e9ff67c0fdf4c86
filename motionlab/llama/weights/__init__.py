"""Decoder weights in and out: Hugging Face models and the published MotionMillion checkpoints."""
