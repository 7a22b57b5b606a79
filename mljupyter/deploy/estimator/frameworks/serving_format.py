"""The format of a model: how it is saved, and the Python expressions that load and call it in a scoring script."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class ServingFormat:
    """How a model is saved, loaded and called.

    Parameters:
        framework: the framework in the record of the registered model, one of those that Azure ML v1 has.
        library: the name of the real one, where that is none of them.
        version: the version of the framework or library; None if it has none.
        file: the name of the model's file.
        save: writes that file. The same model is written as the same bytes.
        imports: lines of the scoring script.
        load: Python expression for the model, with the variable ``path``.
        answer: Python expression for the result, with the variables ``model`` and ``data``.
        call: the same for the model that is not saved yet; None for its method.
        prepare: functions that these expressions use.
        packages: top-level modules that load it needs; None for those of the classes in the model.
        classes: the classes that a replica must import; None for those that are pickled with the model.
        columns: the names of its columns, if it knows any.
        texts: those of them that are texts.
        width: the number of its columns, if it knows it and all are numbers.
        shape: the shape of one row, if that is more than a number of columns.
        rows: a row of the data that it was fitted with, if the model has it.
        dtype: the NumPy type of its numbers, ``str`` for texts.
        arrays_only: whether it takes no data frames.
        framed: whether it takes data frames only.
        checked: whether the saved model is loaded again and compared before it is deployed.
        needs_sample: whether rows of its input are needed to save it.

    """

    framework: str
    file: str
    save: Callable[[Path], None]
    imports: tuple[str, ...]
    load: str
    answer: str
    call: Callable[[Any], Any] | None = None
    prepare: str = ""
    library: str | None = None
    version: str | None = None
    packages: tuple[str, ...] | None = None
    classes: tuple[type, ...] | None = None
    columns: tuple[str, ...] | None = None
    texts: tuple[str, ...] = ()
    width: int | None = None
    shape: tuple[int, ...] | None = None
    rows: Any = None
    dtype: str = "float64"
    arrays_only: bool = False
    framed: bool = False
    checked: bool = True
    needs_sample: bool = False

    def code(self, *, frame: bool) -> str:
        """Return the lines of a scoring script that define ``answer(data)``, for the variable ``model``."""
        data = [f"    data = data.to_numpy(dtype={self.dtype!r})"] if frame and self.arrays_only else []
        return "\n".join(
            [*([self.prepare] if self.prepare else []), "def answer(data):", *data, f"    return {self.answer}"]
        )

    def function(self, path: Path, *, frame: bool) -> Callable[[Any], Any]:
        """Return the function of the scoring script that answers, with the model loaded from a file."""
        space: dict[str, Any] = {"path": str(path)}
        lines = ["import os", "import numpy as np", *self.imports, self.code(frame=frame), f"model = {self.load}"]
        exec(compile("\n".join(lines), "score.py", "exec"), space)  # noqa: S102 - the generated script's own lines
        function: Callable[[Any], Any] = space["answer"]
        return function
