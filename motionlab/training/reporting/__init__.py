"""Everything a training tells while it runs and afterwards: history, loggers, summary."""
