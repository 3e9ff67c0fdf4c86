"""Everything a training tells while it runs and afterwards: history, progress, loggers, summary."""
