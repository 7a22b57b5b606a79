"""Decisions on a whole endpoint: desired state, next actions with the route, and status."""
