"""The geometry backbone: images to tokens, cameras, depth and points; its pretraining, freezing, kept features."""
