"""The errors of a download of models: each says the cause and the way out."""

from __future__ import annotations


class FetchError(Exception):
    """Models cannot be fetched, and another attempt would end in the same way."""


class InterruptedFetchError(Exception):
    """The registry does not answer now; another attempt may succeed."""
