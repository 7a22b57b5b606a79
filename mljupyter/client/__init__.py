"""Clients of control planes, for notebooks, the command line and JupyterLab."""
