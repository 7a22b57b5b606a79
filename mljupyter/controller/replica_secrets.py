"""The workspace's key that the secrets of its replicas follow from (`engine/replica_key.py`): made once, and kept."""

from __future__ import annotations

import re
import secrets
from pathlib import Path

from mljupyter.controller.private_files import write_private

_BYTES = 32
_WHOLE = re.compile(r"[0-9a-f]{64}\s*")


def workspace_key(path: Path) -> bytes:
    """Return the key in a file, which is made with mode 0600 where there is none, or none that is whole.

    Another key does no harm to replicas that run: each of them tells the controller that finds it which key it has.

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
