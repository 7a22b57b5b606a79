"""Which tutorials can run here: ``python -m tests.notebooks`` prints their paths, and on stderr what it leaves out.

A notebook says in its metadata what it needs beside Python: ``{"mljupyter": {"needs": ["docker", "kubernetes"]}}``.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from tests import testbed

NOTEBOOKS = Path("notebooks")
_WAY_OUT = "start a Docker engine, or set DOCKER_HOST to the address of one"
Missing = Callable[[], str | None]


def docker_missing() -> str | None:
    """Return why images cannot be built and run here, and what starts what is missing; None when they can."""
    from mljupyter.build.images import BuilderUnavailableError
    from mljupyter.build.images.docker.engine import connect

    if not (os.environ.get("MLJUPYTER_BASE_IMAGE") or testbed.found("BASE_IMAGE")):
        return testbed.missing("BASE_IMAGE")
    try:
        connect().close()
    except BuilderUnavailableError as error:
        return f"{error.message.splitlines()[0]}: {_WAY_OUT}"
    return None


def kubernetes_missing() -> str | None:
    """Return why no cluster can be attached here, and how to name one; None when one is named."""
    kubeconfig = testbed.found("KUBECONFIG")
    if kubeconfig is None:
        return testbed.missing("KUBECONFIG")
    return None if Path(kubeconfig).is_file() else f"{testbed.PREFIX}KUBECONFIG is {kubeconfig}: there is no such file"


NEEDS: Mapping[str, Missing] = {"docker": docker_missing, "kubernetes": kubernetes_missing}


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
        needs = needs_of(notebook)
        reasons |= {need: parts[need]() for need in needs if need not in reasons}
        missing = [reason for need in needs if (reason := reasons[need]) is not None]
        if missing:
            say(f"left out: {notebook}: {'; '.join(missing)}")
        else:
            found.append(notebook)
    return found


def longest_first(notebooks: Iterable[Path]) -> list[Path]:
    """Return notebooks in the order in which workers are to get them: those that need most take longest."""
    return sorted(notebooks, key=lambda notebook: (-len(needs_of(notebook)), notebook))


def needs_of(notebook: Path) -> list[str]:
    """Return what a notebook needs beside Python."""
    found: list[str] = json.loads(notebook.read_text()).get("metadata", {}).get("mljupyter", {}).get("needs", [])
    return found


if __name__ == "__main__":
    print(*longest_first(chosen(NOTEBOOKS.glob("*.ipynb"), NEEDS, lambda line: print(line, file=sys.stderr))))
