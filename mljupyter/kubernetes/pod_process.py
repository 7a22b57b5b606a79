"""The frame of a process in a pod of the router or the reader: its log, its secret, and errors as text."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from mljupyter.errors import MLJupyterError


def run(program: Coroutine[Any, Any, None], name: str) -> int:
    """Run the program of a pod to its end; return the exit status. An error is one line, without a traceback.

    Parameters:
        program: the program.
        name: its name in messages, such as ``the router``.

    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(program)
    except MLJupyterError as error:
        print(error.message, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{name} cannot start: {error}", file=sys.stderr)
        return 1
    return 0


def secret_in(file: Path, owner: str) -> str:
    """Return the secret in a file.

    Parameters:
        file: the file, which Kubernetes mounts.
        owner: the part that checks or sends the secret, for the message.

    Raises:
        MLJupyterError: the file is empty.
        OSError: it cannot be read.

    """
    secret = file.read_text(encoding="utf-8").strip()
    if not secret:
        raise MLJupyterError(f"{file} is empty: it must have the secret of {owner}.")
    return secret
