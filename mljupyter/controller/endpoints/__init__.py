"""Endpoints: the reconcile loop, rollouts, autoscaling and the operations that clients ask for."""
