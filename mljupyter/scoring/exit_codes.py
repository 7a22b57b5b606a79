"""The exit statuses of `python -m mljupyter.scoring`, which tell the controller why a replica has ended."""

from __future__ import annotations

STOPPED = 0
"""Stopped by a signal, after all running requests were answered."""
CUT_SHORT = 1
"""Stopped by a second signal, or at the end of the grace time, while requests were running."""
BAD_CONFIGURATION = 2
"""An option or variable is wrong, or the socket or port cannot be opened."""
SCRIPT_FAILED = 3
"""The scoring script failed its checks or its `init()`, or ended the process (Azure ML v1: script checks)."""
INIT_TIMED_OUT = 4
"""`init()` did not return within the start-up timeout."""
WORKER_KEEPS_DYING = 5
"""The worker died too often in a row without answering a request in between."""
INTERNAL_ERROR = 6
"""The server itself has failed; its log has the traceback."""
