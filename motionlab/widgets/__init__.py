"""Panels: a plot, its controls, and nothing that cannot be tested without a browser."""
