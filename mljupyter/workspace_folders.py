"""Folders of a workspace: they are created in it, never together with it. A deleted workspace stays deleted."""

from __future__ import annotations

from pathlib import Path

from mljupyter.exceptions import WorkspaceException
from mljupyter.files import make_private_directory


class WorkspaceGoneError(WorkspaceException):
    """A workspace was deleted while somebody still used it."""

    @classmethod
    def of(cls, directory: Path) -> WorkspaceGoneError:
        """Return the error for the workspace that was in a directory."""
        return cls(
            f"WorkspaceNotFound: the workspace in {directory} was deleted, and nothing creates it by the way.\n"
            "Choose another one, or create it again: Workspace.create(NAME)"
        )


def make_folder(workspace: Path, *names: str) -> Path:
    """Create a folder of a workspace with its missing parents, all with mode 0700, and return it.

    Parameters:
        workspace: the directory of the workspace.
        names: the names that lead to the folder.

    Raises:
        WorkspaceGoneError: the workspace was deleted.

    """
    folder = workspace.joinpath(*names)
    try:
        make_private_directory(folder, workspace)
    except FileNotFoundError:
        raise WorkspaceGoneError.of(workspace) from None
    return folder
