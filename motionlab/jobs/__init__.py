"""What a person asks for, each a short script over the parts: prepare, train, generate, run, report."""
