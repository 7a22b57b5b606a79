"""Checks of the sources and of what they are installed with, beside those of ruff, mypy and import-linter."""
