"""The security contexts of all pods: those that the Pod Security level "restricted" asks for."""

from __future__ import annotations

from typing import Any

USER = 10001
"""The user of our images. A number, so that a node can verify that it is not root."""


def pod_security(group: int | None = None) -> dict[str, Any]:
    """Return the security context of a pod. With `group`, the files of its volumes belong to this group."""
    # Not changed again at each start: a volume may have many files.
    own = {"fsGroup": group, "fsGroupChangePolicy": "OnRootMismatch"} if group is not None else {}
    return {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}, **own}


def container_security(user: int | None = None) -> dict[str, Any]:
    """Return the security context of a container: no privileges, no writable file outside of its volumes.

    Parameters:
        user: the number of its user; None for the one that the image names.

    """
    own = {"runAsUser": user} if user is not None else {}
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        **own,
    }
