"""Deployment of fitted estimators: check one, write its scoring script, list its packages, register it as a model."""
