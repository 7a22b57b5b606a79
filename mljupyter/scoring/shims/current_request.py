"""The request that the current thread serves, for what the script calls on its way."""

from __future__ import annotations

from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The value of `x-request-id`; empty when calls do not carry it (it travels only where something needs it)."""
