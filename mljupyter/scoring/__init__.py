"""The scoring server that runs inside a replica; it imports nothing else of mljupyter.

A replica has two processes. The *server* speaks HTTP and never runs user code, so it answers health checks even while a
model is busy. The *worker* imports the scoring script, calls `init()` once and `run(data)` for each request. With
preloading, a *zygote* runs `init()` once and forks the workers. To start a replica without the rest of mljupyter:
``python -m mljupyter.scoring --entry-script score.py --model-dir DIR --port 5001``.
"""
