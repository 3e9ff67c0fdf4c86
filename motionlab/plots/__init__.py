"""Pure functions: data in, figure or HTML out."""
