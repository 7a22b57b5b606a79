"""Which tutorials can run here: ``python -m tests.notebooks`` prints their paths, and on stderr what it leaves out.

A notebook says in its metadata what it needs beside Python: ``{"mljupyter": {"needs": ["docker"]}}``.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

NOTEBOOKS = Path("notebooks")
BASE_IMAGE_VARIABLES = ("MLJUPYTER_BASE_IMAGE", "TESTBED_BASE_IMAGE")
_STARTED_BY = 'run `../shared/testbed/testbed up docker`, then `eval "$(../shared/testbed/testbed env)"`'
Missing = Callable[[], str | None]


def docker_missing() -> str | None:
    """Return why images cannot be built and run here, and what starts what is missing; None when they can."""
    from mljupyter.build.images import BuilderUnavailableError
    from mljupyter.build.images.docker.engine import connect

    if not any(os.environ.get(name) for name in BASE_IMAGE_VARIABLES):
        return f"no base image is named: {_STARTED_BY}, or set MLJUPYTER_BASE_IMAGE to an image with Python 3.11"
    try:
        connect().close()
    except BuilderUnavailableError as error:
        return f"{error.message.splitlines()[0]}: {_STARTED_BY}"
    return None


def chosen(notebooks: Iterable[Path], parts: Mapping[str, Missing], say: Callable[[str], object]) -> list[Path]:
    """Return the notebooks that can run; each that cannot is told with the reason.

    Parameters:
        notebooks: files.
        parts: for each thing that a notebook may need, what tells why it is missing.
        say: is told about each notebook that is left out.

    """
    reasons: dict[str, str | None] = {}
    found = []
    for notebook in sorted(notebooks):
        needs = json.loads(notebook.read_text()).get("metadata", {}).get("mljupyter", {}).get("needs", [])
        reasons |= {need: parts[need]() for need in needs if need not in reasons}
        missing = [reason for need in needs if (reason := reasons[need]) is not None]
        if missing:
            say(f"left out: {notebook}: {'; '.join(missing)}")
        else:
            found.append(notebook)
    return found


if __name__ == "__main__":
    print(*chosen(NOTEBOOKS.glob("*.ipynb"), {"docker": docker_missing}, lambda line: print(line, file=sys.stderr)))
