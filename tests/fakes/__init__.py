"""Fakes of the parts that the control plane works with: a clock, a runtime, a router, a Docker engine."""
