"""Panels: live views of endpoints, logs and comparisons."""
