"""From the body of a file to the 22 joints: names, axes, rest poses, frame rates, and a verdict on the result."""
