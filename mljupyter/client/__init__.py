"""Clients of control planes: how notebooks, the command line and JupyterLab reach endpoints."""
