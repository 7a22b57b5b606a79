"""The compute target that AKS targets are mapped to: a choice of the user, for a process or a Python environment."""

from __future__ import annotations

import os
import re

from mljupyter import interpreter_files
from mljupyter.exceptions import ComputeTargetException

VARIABLE = "MLJUPYTER_AKS"
"""The environment variable of the choice for one process and those that it starts. It comes before the file."""

FILE_NAME = "mljupyter-aks.txt"
"""The file of the choice for a whole Python environment, among its packages."""

HOW = "To run on this machine what is deployed to AKS: mljupyter azureml enable --aks local"
"""One sentence for errors: the way to the mapping."""

_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9-]{0,30}")


def aks_place() -> str | None:
    """Return the name of the compute target that AKS targets are mapped to; None if they are clusters of Azure.

    Raises:
        ComputeTargetException: the environment variable has no name of a compute target.

    """
    given = os.environ.get(VARIABLE, "").strip()
    if given:
        return checked(given, f"the environment variable {VARIABLE}")
    for file in interpreter_files.find(FILE_NAME):
        try:
            text = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            continue
        if _NAME.fullmatch(text):
            return text
    return None


def checked(place: str, source: str = "--aks") -> str:
    """Return a name of a compute target.

    Parameters:
        place: the name.
        source: the option or variable that gave it.

    Raises:
        ComputeTargetException: it is none.

    """
    if not _NAME.fullmatch(place):
        raise ComputeTargetException(
            f"{source} is {place!r}: it must be the name of a compute target: 'local', 'docker', or an attached "
            "cluster of the workspace."
        )
    return place


def words(place: str) -> str:
    """Return how a choice is named to people, with the command that makes it."""
    if os.environ.get(VARIABLE, "").strip() == place:
        return f"{VARIABLE}={place}"
    return f"mljupyter azureml enable --aks {place}"
