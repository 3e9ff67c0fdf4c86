"""The targets that a decoder is trained on: losses, training strategies, and the corruption of its input."""
