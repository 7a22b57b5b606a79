"""The check of imports inside functions, and the contract against import cycles."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.checks.imports import ROOT, without_reason

CONTRACT = """
[tool.importlinter]
root_package = "parts"
[[tool.importlinter.contracts]]
name = "No import cycles, in any package"
type = "acyclic_siblings"
ancestors = ["parts"]
"""


def test_an_import_inside_a_function_needs_a_reason() -> None:
    assert list(without_reason("def f():\n    from mljupyter.core import Model\n")) == [2]
    assert list(without_reason("def f():\n    import mljupyter.core\n    import json\n")) == [2]


def test_a_comment_is_a_reason_and_others_packages_need_none() -> None:
    assert not list(without_reason("def f():\n    from mljupyter.core import Model  # heavy\n"))
    assert not list(without_reason("def f():\n    # heavy\n    from mljupyter import a\n    from mljupyter import b\n"))
    assert not list(without_reason("from mljupyter.core import Model\ndef f():\n    import pandas\n"))


def test_a_cycle_through_functions_and_type_checks_is_found(tmp_path: Path) -> None:
    for part, text in {
        "a": "def f():\n    from parts.b import g\n",
        "b": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from parts.a import f\n",
    }.items():
        (tmp_path / "parts" / part).mkdir(parents=True)
        (tmp_path / "parts" / part / "__init__.py").write_text(text)
    (tmp_path / "parts" / "__init__.py").write_text("")
    (tmp_path / "pyproject.toml").write_text(CONTRACT)
    linter = Path(sys.executable).with_name("lint-imports")
    found = subprocess.run([linter, "--no-cache"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.returncode == 1, found.stdout
    assert "No cycles are allowed in parts" in found.stdout
    ours = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'type = "acyclic_siblings"\nancestors = ["mljupyter"]' in ours
