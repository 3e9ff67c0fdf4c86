"""The computations of the explainers, for `plots` to draw and `widgets` to control."""
