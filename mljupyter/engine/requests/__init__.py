"""Requests of clients: the encoding of their data, and the decisions of scoring in parts."""
