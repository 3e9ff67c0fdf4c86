"""The one loop, knowing no model: precision, accumulation, schedules, checkpoints, history."""
