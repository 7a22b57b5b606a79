"""The scoring server that runs inside a replica; it imports nothing else of mljupyter.

A replica is two processes. The *front* speaks HTTP and never runs the user's code, so that it always answers at
once. The *worker* imports the scoring script, calls `init()` once and `run(data)` for each request. Run it by
itself with ``python -m mljupyter.scoring --entry-script score.py --model-dir DIR --port 5001``.
"""
