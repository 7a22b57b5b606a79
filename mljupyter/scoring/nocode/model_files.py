"""Look-up of the only model in a model directory."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path


class NoCodeError(Exception):
    """The model directory does not hold exactly one model that can be served without a script."""


def model_root() -> Path:
    """Return the model directory of the replica."""
    return Path(os.environ["AZUREML_MODEL_DIR"])


def only_file(suffixes: Sequence[str]) -> Path:
    """Return the only file with one of these suffixes; raise NoCodeError when there is none, or more than one."""
    return _only(lambda path: path.suffix.lower() in suffixes, f"a file {' or '.join('*' + item for item in suffixes)}")


def only_directory_with(*names: str) -> Path:
    """Return the only directory that holds one of these files; raise NoCodeError when there is none or several."""
    return _only(lambda path: path.name in names, f"a file {' or '.join(names)}").parent


def _only(fits: Callable[[Path], bool], what: str) -> Path:
    root = model_root()
    files = [root] if root.is_file() else sorted(path for path in root.rglob("*") if path.is_file())
    found = [path for path in files if fits(path)]
    if not found:
        present = ", ".join(str(path.relative_to(root)) for path in files[:10]) or "nothing"
        raise NoCodeError(f"{root} does not hold {what}; it holds {present}")
    shallowest = min(len(path.parts) for path in found)
    outer = [path for path in found if len(path.parts) == shallowest]
    if len(outer) > 1:
        names = ", ".join(str(path.relative_to(root)) for path in outer[:10])
        raise NoCodeError(f"{root} holds more than one model ({names}); serve one of them, or write a scoring script")
    return outer[0]
