"""`azureml.core.model` for scoring scripts: look up the path of a model's files."""

# ruff: noqa: PTH100, PTH110, PTH118, PTH120, PTH208
# pathlib takes 3 ms to import, which every replica would pay.
from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, NoReturn

from mljupyter.scoring.shims.exceptions import ModelNotFoundException
from mljupyter.scoring.shims.unavailable import unavailable

_MODELS = "azureml-models"


class _ModelType(type):
    def __getattr__(cls, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise unavailable(f"azureml.core.Model.{name}")


class Model(metaclass=_ModelType):
    """A registered model. Only `get_model_path` works in a replica, which has no workspace."""

    def __init__(self, *_: Any, **__: Any) -> None:
        raise unavailable("azureml.core.Model(...)", "Use Model.get_model_path(name) for the path of a deployed model.")

    @staticmethod
    def get_model_path(model_name: str, version: int | str | None = None, _workspace: Any = None) -> str:
        """Return the path of a model's file or directory (Azure ML v1: Model).

        Parameters:
            model_name: the name it was registered with, or a path in the working directory.
            version: its version; None for the newest in this replica.

        Raises ModelNotFoundException when there is no such model.
        """
        for root in _roots():
            path = _entry(os.path.join(root, model_name), version)
            if path is not None:
                return path
        if os.path.exists(model_name):
            return model_name
        wanted = model_name if version is None else f"{model_name}:{version}"
        raise ModelNotFoundException(
            f"ModelNotFound: no model {wanted} is in this replica. Models here: {', '.join(_names()) or 'none'}"
        )


def _roots() -> Iterator[str]:
    """Yield the directories that may hold ``<name>/<version>/``."""
    yield os.path.join(os.environ.get("AML_APP_ROOT") or ".", _MODELS)
    directory = os.environ.get("AZUREML_MODEL_DIR")
    if directory:
        yield directory
        yield os.path.dirname(os.path.dirname(os.path.abspath(directory)))  # with one model it ends in <name>/<version>


def _entry(directory: str, version: int | str | None) -> str | None:
    """Return the only entry of a version's directory."""
    if version is None:
        numbers = [int(name) for name in _list(directory) if name.isdecimal()]
        if not numbers:
            return None
        version = max(numbers)
    place = os.path.join(directory, str(version))
    entries = _list(place)
    if not entries:
        return None
    if len(entries) > 1:
        raise ModelNotFoundException(
            f"{place} holds {len(entries)} entries, so it is unclear which one is the model: "
            f"{', '.join(sorted(entries)[:5])}"
        )
    return os.path.join(place, entries[0])


def _list(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _names() -> list[str]:
    return sorted({name for root in list(_roots())[:1] for name in _list(root)})[:20]
