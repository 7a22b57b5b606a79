"""Tests of the server extension, on a real Jupyter server."""
