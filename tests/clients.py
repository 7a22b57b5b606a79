"""Runs what is shown to write clients of an endpoint, as a user pastes it: into a shell, and into a file of Python."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from mljupyter.engine.endpoints.client_snippets import ClientSnippets


def answers(snippets: ClientSnippets, directory: Path) -> tuple[Any, Any]:
    """Return the answers to the curl command and to the Python program; the key is read as the hint says.

    Parameters:
        snippets: what was shown.
        directory: where they run.

    """
    (directory / "client.py").write_text(snippets.python)
    texts = []
    for command in (snippets.curl, f"{sys.executable} client.py"):
        lines = [snippets.key_hint, snippets.request_hint, command]
        environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        done = subprocess.run(
            ["sh", "-ec", "\n".join(lines)], cwd=directory, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        texts.append(done.stdout)
    curl, python = texts
    program = subprocess.run(
        [sys.executable, "-c", f"import json; print(json.dumps({python.strip()}))"], capture_output=True, text=True
    )
    return json.loads(curl), json.loads(program.stdout)
