"""Autoscaling policies side by side, on simulated loads.

``python -m benchmarks.autoscaling`` writes ``docs/autoscaling-benchmark.md`` and its figures. One to two minutes.
"""
