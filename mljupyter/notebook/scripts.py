"""Scoring scripts stored by ``%%score`` in a workspace, under ``scoring/NAME/``. They outlive the kernel."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from mljupyter.errors import MLJupyterError
from mljupyter.files import write_whole
from mljupyter.notebook.options.option_values import near
from mljupyter.outside import json_value
from mljupyter.workspace_folders import make_folder

SCRIPT = "score.py"
_SETTINGS = "settings.json"
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-._]{0,63}")


class ScoringScriptNotFoundError(MLJupyterError):
    """The workspace has no scoring script of this name."""


class ScoringScriptNameError(MLJupyterError):
    """A name of a scoring script is invalid."""


@dataclass(frozen=True)
class KeptScript:
    """A scoring script in a workspace: its name, its file, and its source directory."""

    name: str
    path: Path
    source_directory: Path | None


class KeptScripts:
    """The scoring scripts of one workspace directory."""

    def __init__(self, workspace_directory: Path) -> None:
        self.directory = workspace_directory / "scoring"

    def save(self, name: str, source: str, source_directory: Path | None = None) -> KeptScript:
        """Store a script atomically, readable only by its owner; raise `WorkspaceGoneError` without a workspace."""
        folder = make_folder(self.directory.parent, self.directory.name, checked_name(name))
        settings = {"sourceDirectory": str(source_directory)} if source_directory else {}
        write_whole(folder / _SETTINGS, json.dumps(settings))
        write_whole(folder / SCRIPT, source)
        return KeptScript(name, folder / SCRIPT, source_directory)

    def load(self, name: str) -> KeptScript:
        """Return a stored script.

        Raises:
            ScoringScriptNotFoundError: there is none of this name; the message has the nearest one.

        """
        path = self.directory / name / SCRIPT
        if not _NAME.fullmatch(name) or not path.is_file():
            raise ScoringScriptNotFoundError(
                f"There is no scoring script {name!r} in this workspace.{near(name, self.names())} "
                f"Write one in a cell that starts with %%score {name}"
            )
        settings = path.parent / _SETTINGS
        try:
            directory = json_value(settings.read_text(encoding="utf-8")).get("sourceDirectory")
        except (OSError, ValueError, AttributeError):
            raise ScoringScriptNotFoundError(
                f"{settings} is empty or damaged: it says where the files of script {name!r} are. "
                f"Run the cell that starts with %%score {name} again."
            ) from None
        return KeptScript(name, path, Path(directory) if directory else None)

    def names(self) -> list[str]:
        """Return the names of all stored scripts."""
        if not self.directory.is_dir():
            return []
        return sorted(entry.name for entry in self.directory.iterdir() if (entry / SCRIPT).is_file())


def checked_name(name: str) -> str:
    """Return the name of a scoring script, or raise `ScoringScriptNameError` with the rule."""
    if _NAME.fullmatch(name):
        return name
    raise ScoringScriptNameError(
        f"Invalid scoring script name {name!r}. "
        "Use 1 to 64 letters, digits, '-', '.' and '_'; a letter or digit first. For example: 'ridge-score'."
    )
