"""The commands, each a short script over the parts: prepare, train, generate, run, report."""
