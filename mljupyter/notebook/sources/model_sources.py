"""Candidates for a model: fitted variables of the notebook, files and directories near it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mljupyter.files import expanded

_FRAMEWORKS = {
    ".onnx": "Onnx",
    ".pt": "PyTorch",
    ".pth": "PyTorch",
    ".h5": "TfKeras",
    ".keras": "TfKeras",
    ".joblib": "ScikitLearn",
    ".pkl": "Custom",
    ".pickle": "Custom",
    ".safetensors": "Custom",
    ".bst": "Custom",
    ".ubj": "Custom",
}
_DIRECTORIES = {"MLmodel": "Custom", "saved_model.pb": "TensorFlow"}  # files that mark a directory as a model
_MOST_ENTRIES = 2000
_DEPTH = 2


@dataclass(frozen=True)
class ModelSource:
    """Something that can be registered.

    Parameters:
        kind: ``variable`` or ``path``.
        name: the variable's name, or the path as it is written in code.
        about: its type, or its size.
        framework: one of `Model.Framework`.

    """

    kind: str
    name: str
    about: str
    framework: str

    @property
    def model_name(self) -> str:
        """A name for the model: that of the variable or the file, without invalid characters."""
        stem = Path(self.name).stem if self.kind == "path" else self.name
        return "".join(letter if letter.isalnum() or letter in "-._" else "-" for letter in stem)[:255]


def fitted_variables(namespace: Mapping[str, Any]) -> list[ModelSource]:
    """Return the variables with a fitted estimator of scikit-learn's interface.

    A variable counts if it has `predict` and an attribute set by fitting, which ends with an underscore.
    Nothing is imported.
    """
    found = []
    for name, value in namespace.items():
        if (
            name.startswith("_")
            or not name.isidentifier()
            or isinstance(value, type)
            or not callable(getattr(value, "predict", None))
        ):
            continue
        fitted = any(key.endswith("_") and not key.startswith("_") for key in getattr(value, "__dict__", ()))
        steps = getattr(value, "steps", None)
        if fitted or steps:
            module = type(value).__module__.partition(".")[0]
            framework = "ScikitLearn" if module == "sklearn" else "Custom"
            found.append(ModelSource("variable", name, type(value).__name__, framework))
    return found


def files_near(directory: Path) -> list[ModelSource]:
    """Return files and directories that look like models in a directory and the two levels below it, by path."""
    return sorted(_walk(directory), key=lambda source: source.name)


def source_of_path(text: str) -> ModelSource:
    """Return a path as a source.

    Raises:
        FileNotFoundError: the path does not exist; the message has it.

    """
    path = expanded(text)
    if not path.exists():
        raise FileNotFoundError(f"There is no file or directory {text!r}.")
    if path.is_dir():
        marks = [framework for mark, framework in _DIRECTORIES.items() if (path / mark).is_file()]
        return ModelSource("path", text, "directory", marks[0] if marks else "Custom")
    return ModelSource("path", text, _size(path), _FRAMEWORKS.get(path.suffix.lower(), "Custom"))


def _walk(directory: Path) -> Iterator[ModelSource]:
    seen = 0
    for root, folders, files in os.walk(directory):
        here = Path(root)
        folders[:] = sorted(name for name in folders if not name.startswith((".", "_")) and name != "node_modules")
        if len(here.relative_to(directory).parts) >= _DEPTH:
            folders.clear()
        seen += len(files) + len(folders)
        if seen > _MOST_ENTRIES:
            return
        mark = next((mark for mark in _DIRECTORIES if mark in files), None)
        if mark is not None and here != directory:
            folders.clear()
            yield ModelSource("path", str(here.relative_to(directory)), "directory", _DIRECTORIES[mark])
            continue
        for name in files:
            path = here / name
            if path.suffix.lower() in _FRAMEWORKS and path.is_file():
                yield source_of_path_in(directory, path)


def source_of_path_in(directory: Path, path: Path) -> ModelSource:
    """Return a file as a source, with its path relative to the directory."""
    return ModelSource("path", str(path.relative_to(directory)), _size(path), _FRAMEWORKS[path.suffix.lower()])


def _size(path: Path) -> str:
    size = float(path.stat().st_size)
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            whole = "1 byte" if size == 1 else f"{size:.0f} bytes"
            return whole if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
