"""The memory of a training step: by formula, and as the allocator counted it."""
