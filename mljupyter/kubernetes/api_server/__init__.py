"""Asynchronous access to the API server: requests with plain dictionaries, and informers."""
