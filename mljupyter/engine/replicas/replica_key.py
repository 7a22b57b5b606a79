"""Replica keys: secrets with which a replica in a container authenticates its router and its control plane.

Each replica has its own key, derived from the workspace's key and the replica's id. So a control plane stores one key,
and can compute the key of every replica that it finds.
"""

from __future__ import annotations

import hashlib
import hmac

HEADER = "x-mlj-replica-key"
VARIABLE = "MLJUPYTER_REPLICA_KEY"  # same as in `scoring/server/replica_key.py`, which imports nothing from here
PRIVATE_HEADERS = "x-mlj-"
"""The prefix of all headers between router and replicas. Such headers of a client are removed."""


def replica_key(workspace_key: bytes, replica_id: str) -> str:
    """Return the secret of a replica: HMAC-SHA256 of its id with the workspace's key, in hexadecimal digits.

    Example:
        >>> replica_key(b"k" * 32, "iris-1") == replica_key(b"k" * 32, "iris-1")
        True
        >>> len({replica_key(b"k" * 32, "iris-1"), replica_key(b"k" * 32, "iris-2"), replica_key(b"l" * 32, "iris-1")})
        3

    """
    return hmac.new(workspace_key, replica_id.encode(), hashlib.sha256).hexdigest()
