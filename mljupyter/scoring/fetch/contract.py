"""The contract between a download of models and the operator of a cluster that starts it."""

from __future__ import annotations

DONE, FAILED, INTERRUPTED = 0, 64, 75
"""The exit statuses: all models are there, another attempt fails in the same way, another attempt may succeed."""

NODE_VARIABLE = "MLJUPYTER_NODE_ADDRESS"
"""The environment variable with the address of the node."""

DIRECTORY_TYPE = "application/vnd.mljupyter.model.directory.v1+json"
"""The media type of the configuration of a directory: the list of its files."""
