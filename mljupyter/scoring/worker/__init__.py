"""The worker: loads the scoring script and runs it."""
