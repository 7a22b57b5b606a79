"""The workspace's key, created once and stored. Replica keys derive from it (`engine/replicas/replica_key.py`)."""

from __future__ import annotations

import re
import secrets
from pathlib import Path

from mljupyter.controller.tls.private_files import write_private

_BYTES = 32
_WHOLE = re.compile(r"[0-9a-f]{64}\s*")


def workspace_key(path: Path) -> bytes:
    """Return the key in a file. A missing or damaged file is replaced by one with a new key and mode 0600.

    Running replicas work with a new key of the workspace too: the controller reads the key of each from the replica.

    Raises:
        StorageError: when the file cannot be written.

    """
    try:
        text = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        text = ""
    if not _WHOLE.fullmatch(text):
        text = secrets.token_hex(_BYTES)
        write_private(path, text)
    return bytes.fromhex(text.strip())
