"""Our serving path beside other model servers: the same models, the same client, one replica each, one machine.

``python -m benchmarks.serving`` measures everything; ``--help`` says how to measure less. `workloads` says what is
served, `peers` how each other server is installed and started, `ours` how ours is.
"""
