"""Examples of the documentation: programs run, and fragments fit the SDK.

A block is a program unless the line before it is ``<!-- fragment -->``. The programs of a page run one after the other
in one IPython session. A fragment uses names that a reader has already, those of `GIVEN`; mypy checks its calls.
"""

from __future__ import annotations

import ast
import builtins
import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from IPython.core.inputtransformer2 import TransformerManager

from mljupyter import core
from mljupyter.core import compute
from tests.docs.blocks import ROOT, Block, blocks_of, pages

BLOCKS = [block for page in pages() for block in blocks_of(page)]
PROGRAMS = {block.page: [b for b in BLOCKS if b.page == block.page and not b.is_fragment] for block in BLOCKS}
MOST_SECONDS = 300
SESSION = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
try:
    for name, text in json.load(open("blocks.json")):
        if not shell.run_cell(text).success:
            sys.exit(f"{name} has failed")
finally:
    from mljupyter.notebook.session import session_of

    workspaces = [shell.user_ns.get("ws")]
    if "mljupyter" in shell.extension_manager.loaded:
        workspaces.append(session_of(shell).workspace())  # that of magics, which nobody has to name
    for workspace in filter(None, workspaces):
        workspace.controller.stop(force=True)
"""
GIVEN = {
    "code": "Any",
    "configuration": "WebserviceDeploymentConfiguration",
    "data": "str",
    "dataset": "Dataset",
    "datastore": "Any",
    "definition": "Any",
    "endpoint": "AksEndpoint",
    "image": "ContainerImage",
    "inference_config": "InferenceConfig",
    "model": "Model",
    "models": "Any",
    "new": "Model",
    "new_image": "ContainerImage",
    "old": "Model",
    "password": "str",
    "registry": "Any",
    "service": "AksWebservice",
    "team": "KubernetesCompute",
    "token": "str",
    "ws": "Workspace",
}
"""The names that fragments may use without defining them, with their types."""

RETURNED = ("endpoint", "image", "service")
"""Names that calls return with a base class as their declared type; readers get the class of `GIVEN`."""

CLASSES = {
    name: module.__name__
    for module in (core, compute)
    for name in module.__all__
    if name[0].isupper() and name != "VERSION"
}


@pytest.mark.system
@pytest.mark.parametrize("page", [page for page, found in PROGRAMS.items() if found])
def test_the_programs_of_a_page_run(page: str, tmp_path: Path) -> None:
    for block in PROGRAMS[page]:
        if block.title is not None:
            (tmp_path / block.title).write_text(block.text)
    blocks = [(str(block), block.text) for block in PROGRAMS[page] if block.title is None]
    (tmp_path / "blocks.json").write_text(json.dumps(blocks))
    (tmp_path / "session.py").write_text(SESSION)
    environment = {**os.environ, "MLJUPYTER_HOME": str(tmp_path / "home"), "IPYTHONDIR": str(tmp_path / "ipython")}
    command = [sys.executable, "-m", "mljupyter.azureml", "session.py"]
    with (tmp_path / "output").open("w") as output:  # a pipe would stay open as long as a controller runs
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, stdout=output, stderr=output, timeout=MOST_SECONDS, check=False
        )
    assert done.returncode == 0, (tmp_path / "output").read_text()


def without_magics(block: Block) -> str:
    """Return a block as Python, without lines of magics, whose arguments tests/magics checks."""
    lines = [line for line in block.text.splitlines() if not re.match(r"\s*%", line)]
    return TransformerManager().transform_cell("\n".join(lines)).replace("azureml.core", "mljupyter.core")


def unknown_names(text: str) -> list[str]:
    """Return the names that a block uses and nothing in it defines."""
    tree = ast.parse(text)
    nodes = list(ast.walk(tree))
    defined = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    defined |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    defined |= {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    defined |= {
        (alias.asname or alias.name).partition(".")[0]
        for node in nodes
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    defined |= {name for node in nodes if isinstance(node, ast.Global) for name in node.names}
    used = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    return sorted(used - defined - set(dir(builtins)))


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.is_fragment], ids=str)
def test_a_fragment_uses_only_names_that_a_reader_has(block: Block) -> None:
    unknown = set(unknown_names(without_magics(block))) - GIVEN.keys() - CLASSES.keys() - {"json"}
    assert not unknown, f"{block}: define {', '.join(sorted(unknown))}, use another name, or add it to GIVEN"


def module_of(fragments: list[Block]) -> tuple[str, dict[int, Block]]:
    """Return a module with a function for each fragment, and each fragment by the line of its function."""
    # Options of the file and not of the command, so that mypy's cache of `make style` is used.
    lines = ['# mypy: disable-error-code="assignment, no-redef, no-untyped-def, union-attr"', "import json"]
    lines += ["from typing import Any"]
    lines += [f"from {module} import {name}" for name, module in CLASSES.items()]
    places = {}
    for number, block in enumerate(fragments):
        text = without_magics(block)
        names = [*unknown_names(text), *(name for name in RETURNED if re.search(rf"^{name} = ", text, re.MULTILINE))]
        parameters = ", ".join(f"{name}: {GIVEN[name]}" for name in names if name in GIVEN)
        lines += [f"def fragment_{number}({parameters}) -> None:"]
        places[len(lines)] = block
        lines += [*textwrap.indent(text, "    ").splitlines(), "    ..."]
    return "\n".join(lines) + "\n", places


def complaints(output: str, places: dict[int, Block]) -> Iterator[str]:
    """Yield the errors of mypy, at the lines of pages."""
    for number, text in re.findall(r"^[^:]+:(\d+): error: (.*)$", output, re.MULTILINE):
        start = max(place for place in places if place < int(number))
        block = places[start]
        yield f"{block.page}:{block.line + int(number) - start - 1}: {text}"


def test_the_calls_of_fragments_fit_the_sdk(tmp_path: Path) -> None:
    module, places = module_of([block for block in BLOCKS if block.is_fragment])
    (tmp_path / "fragments.py").write_text(module)
    command = [sys.executable, "-m", "mypy", str(tmp_path / "fragments.py")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=MOST_SECONDS, check=False)
    found = list(complaints(done.stdout, places))
    assert done.returncode == 0, "\n".join(found or [done.stdout, done.stderr])
