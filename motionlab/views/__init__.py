"""What an explainer computes, for `plots` to draw and for `widgets` to turn."""
