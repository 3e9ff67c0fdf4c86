"""Commands that `cli.py` takes in: each file has an `app` with the commands of one subject."""
