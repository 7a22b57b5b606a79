"""Does with `binder/` what Binder does, as far as packages allow, and measures the time to the first answer.

A copy of what git knows goes to a directory of its own; a new environment gets `requirements.txt`; `postBuild` runs
in it; then the quickstart runs from its first cell until an endpoint has answered. Run: make binder
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.waiting import COMMAND_SECONDS, promised

ROOT = Path(__file__).resolve().parents[1]
LONGEST_BUILD_SECONDS = 600
LONGEST_FIRST_ANSWER_SECONDS = 60
QUICKSTART = """
import sys, time
import nbformat
from nbclient import NotebookClient

began = time.monotonic()
notebook = nbformat.read("notebooks/01-quickstart.ipynb", as_version=4)
client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": "notebooks"}})
with client.setup_kernel():
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        client.execute_cell(cell, index)
        if "%invoke" in cell.source:
            print(f"{time.monotonic() - began:.1f}")
            break
    else:
        sys.exit("the quickstart has no %invoke")
"""


def main() -> None:
    """Build, deploy, and tell how long it took."""
    with tempfile.TemporaryDirectory(prefix="mljupyter-binder-") as temporary:
        home = Path(temporary)
        project = copied(home / "project")
        binaries = environment(home / "environment", project)
        variables = {
            **os.environ,
            "HOME": str(home),
            "MLJUPYTER_HOME": str(home / "mljupyter"),
            "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
            "VIRTUAL_ENV": str(binaries.parent),
        }
        for name in ("PYTHONPATH", "PYTHONHOME", "MLJUPYTER_WORKSPACE"):
            variables.pop(name, None)
        began = time.monotonic()
        subprocess.run(["./binder/postBuild"], cwd=project, env=variables, check=True, timeout=LONGEST_BUILD_SECONDS)
        print(f"postBuild took {time.monotonic() - began:.1f} s")
        extensions = binaries.parent / "share" / "jupyter" / "labextensions"
        if not (extensions / "mljupyter-labextension" / "package.json").is_file():
            sys.exit(f"{extensions} has no extension of mljupyter")
        try:
            answered = subprocess.run(
                [binaries / "python", "-c", QUICKSTART],
                cwd=project,
                env=variables,
                check=True,
                stdout=subprocess.PIPE,
                text=True,
                timeout=COMMAND_SECONDS,
            )
        finally:
            stop = "from mljupyter.core import Workspace; Workspace.get('quickstart').controller.stop(force=True)"
            subprocess.run([binaries / "python", "-c", stop], cwd=project, env=variables, check=False)
        seconds = float(answered.stdout.split()[-1])
        print(f"first answer after {seconds} s, from the start of the kernel")
        if seconds > (limit := promised(LONGEST_FIRST_ANSWER_SECONDS)):
            sys.exit(f"that is more than {limit:.0f} s ({LONGEST_FIRST_ANSWER_SECONDS} s on an idle machine)")


def copied(place: Path) -> Path:
    """Copy what git knows: what Binder clones, and what is not committed yet."""
    command = ["git", "ls-files", "-z", "-co", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, place / name)
    return place


def environment(place: Path, project: Path) -> Path:
    """Make an environment with what `requirements.txt` names; return its directory of programs."""
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--seed", "--python", sys.executable, place], check=True)
    requirements = project / "binder" / "requirements.txt"
    subprocess.run(
        [*uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", place, "--requirement", requirements],
        check=True,
    )
    return place / "bin"


if __name__ == "__main__":
    main()
