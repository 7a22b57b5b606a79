"""Endpoints: the reconcile loop, rollouts, autoscaling and the operations for clients."""
