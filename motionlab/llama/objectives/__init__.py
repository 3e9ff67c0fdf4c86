"""What a decoder is trained on: losses, training strategies, and the corruption of what it reads."""
