"""The worker process: it loads the scoring script and runs it. It may also become a zygote, which forks workers."""
