"""The index of workspaces: the ``workspaces`` folder of a home directory has one entry for each name.

A workspace is a directory or, when its user chose another place, a symbolic link to one. The file system is the whole
index: making a directory or a link is atomic, links are absolute and so survive a moved home.
"""

from __future__ import annotations

import difflib
import os
import shlex
import shutil
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from mljupyter import ownership
from mljupyter.exceptions import UserErrorException, WorkspaceException
from mljupyter.files import write_whole
from mljupyter.spec import Document, SpecError
from mljupyter.spec.names import WORKSPACE

HOME_VARIABLE = "MLJUPYTER_HOME"
DOCUMENT_NAME = "workspace.json"


class NameTakenError(WorkspaceException):
    """The index has the name already."""


class WorkspaceDocument(Document):
    """The document ``workspace.json``."""

    name: str
    id: str
    created_time: datetime
    subscription_id: str
    resource_group: str
    location: str
    tags: dict[str, str] = {}
    friendly_name: str | None = None
    container_registry: str | None = None


def home() -> Path:
    """Return the home directory: ``$MLJUPYTER_HOME``, else ``~/.mljupyter``."""
    return Path(os.environ.get(HOME_VARIABLE) or "~/.mljupyter").expanduser().absolute()


def index() -> Path:
    """Return the directory that holds one entry for each workspace name."""
    return home() / "workspaces"


def known() -> Iterator[str]:
    """Yield the names in the index, sorted, dangling links included."""
    if index().is_dir():
        yield from sorted(entry.name for entry in index().iterdir() if not entry.name.startswith("."))


def check_name(name: str) -> None:
    """Raise `UserErrorException` for a name against the rule (Azure ML v1: workspace names)."""
    try:
        WORKSPACE.check(name)
    except SpecError as error:
        raise UserErrorException(error.message) from None


def existing(name: str) -> Path:
    """Return the directory of the workspace with that name; raise `WorkspaceException` when there is none."""
    check_name(name)
    directory = find(name)
    if directory is None:
        near = difflib.get_close_matches(name, known(), n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"There: {', '.join(known()) or 'none yet'}."
        raise WorkspaceException(
            f"WorkspaceNotFound: there is no workspace {name!r} in {index()}. {hint}\n"
            f"To make it: Workspace.create({name!r})"
        )
    return directory


def found(name: str, place: Path | None) -> Path | None:
    """Return the directory of the workspace with that name, at that place if one is given; None for no such one."""
    if place is None:
        return find(name)
    entry = index() / name
    directory = entry.resolve()
    return directory if os.path.lexists(entry) and directory == place.resolve() and holds(directory) else None


def find(name: str) -> Path | None:
    """Return the directory of the workspace with that name, or None when the index has no such name.

    Raises:
        WorkspaceException: when the index has the name but the directory is gone or is not a workspace.

    """
    entry = index() / name
    if not os.path.lexists(entry):
        return None
    directory = entry.resolve()
    if not holds(directory):
        raise WorkspaceException(
            f"Workspace {name!r} is gone: {entry} leads to {directory}, which holds no {DOCUMENT_NAME}.\n"
            "If the directory was moved, point the link at its new place; else remove the name: "
            f"rm {shlex.quote(str(entry))}"
        )
    return directory


def holds(directory: Path) -> bool:
    """Return whether a directory is a workspace; raise `WorkspaceException` when this user may not read it."""
    try:
        return (directory / DOCUMENT_NAME).is_file()
    except PermissionError as error:
        _refuse_of_others(directory)
        raise WorkspaceException(
            f"{directory} is closed to you ({error.strerror}): use a workspace of your own, Workspace.create(NAME)."
        ) from None


def read(directory: Path) -> WorkspaceDocument:
    """Return the document of the workspace in a directory.

    Raises:
        WorkspaceException: when there is none, it cannot be read, or it belongs to another user.

    """
    path = directory / DOCUMENT_NAME
    _refuse_of_others(directory)
    try:
        return WorkspaceDocument.parse(path.read_bytes())
    except FileNotFoundError:
        raise WorkspaceException(
            f"{directory} is not a workspace: it has no {DOCUMENT_NAME}.\n"
            f"To make one there: Workspace.create(NAME, path={str(directory)!r})"
        ) from None
    except SpecError as error:
        raise WorkspaceException(f"{path} cannot be read: {error.message}") from None


def _refuse_of_others(directory: Path) -> None:
    try:
        owner = directory.stat().st_uid
    except OSError:
        return
    if owner != os.getuid():
        raise WorkspaceException(
            f"The workspace {directory} belongs to {ownership.name_of(owner)}, and you are "
            f"{ownership.name_of(os.getuid())}. A workspace is used by its owner alone: its scripts run as its users, "
            "and it holds keys.\n"
            "Make one of your own: Workspace.create(NAME). A team shares endpoints and images, not a workspace's files."
        )


def create(document: WorkspaceDocument, path: Path | None = None) -> Path:
    """Make the directory of a new workspace and enter its name into the index; return the directory.

    Parameters:
        document: what the workspace is called and belongs to.
        path: where to put it. It must not exist, be empty, or hold a workspace of the same name, which is then
            entered into the index as it is. Without it the directory lies in the index itself.

    Raises:
        WorkspaceException: when the name is taken, or the place cannot be used.

    """
    try:
        home().mkdir(mode=0o700, parents=True, exist_ok=True)
        index().mkdir(mode=0o700, exist_ok=True)
        return _create_at(document, path.absolute()) if path is not None else _create_in_index(document)
    except OSError as error:
        raise WorkspaceException(
            f"Workspace {document.name!r} cannot be created: {error.strerror}: {error.filename}\n"
            f"Choose another place with Workspace.create(..., path=DIR), or another home with {HOME_VARIABLE}."
        ) from error


def remove(name: str, directory: Path) -> None:
    """Remove a workspace's directory with all it holds, and its name from the index."""
    entry = index() / name
    if entry.is_symlink():
        if entry.resolve() == directory.resolve():
            entry.unlink()
        shutil.rmtree(directory)
        return
    # Renamed first: a removal cut short leaves nothing that looks like a workspace.
    doomed = directory.with_name(f".removed-{uuid.uuid4().hex}")
    directory.rename(doomed)
    shutil.rmtree(doomed)


def _create_in_index(document: WorkspaceDocument) -> Path:
    entry = index() / document.name
    draft = index() / f".draft-{uuid.uuid4().hex}"
    draft.mkdir(mode=0o700)
    try:
        _write(document, draft)
        if os.path.lexists(entry):
            raise _taken(document.name)
        try:
            draft.rename(entry)
        except OSError as error:
            raise _taken(document.name) from error  # somebody else was faster
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return entry


def _create_at(document: WorkspaceDocument, path: Path) -> Path:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory = path.resolve()
    _refuse_of_others(directory)  # an empty one, too: its owner could put anything into it later
    adopted = holds(directory)
    if adopted:
        there = read(directory).name
        if there != document.name:
            raise WorkspaceException(f"{path} holds the workspace {there!r} already, not {document.name!r}.")
    elif any(directory.iterdir()):
        raise WorkspaceException(
            f"{path} is not empty: a workspace needs a directory of its own. "
            f"For example: path={str(path / document.name)!r}"
        )
    entry = index() / document.name
    try:
        entry.symlink_to(directory)
    except FileExistsError:
        if entry.resolve() != directory:
            raise _taken(document.name) from None
    if not adopted:
        directory.chmod(0o700)
        _write(document, directory)
    return directory


def _write(document: WorkspaceDocument, directory: Path) -> None:
    text = document.model_dump_json(by_alias=True, exclude_none=True, indent=2) + "\n"
    write_whole(directory / DOCUMENT_NAME, text, durable=True)


def _taken(name: str) -> NameTakenError:
    return NameTakenError(
        f"Workspace {name!r} exists already.\n"
        f"Use it with Workspace.get({name!r}), or pass exist_ok=True to create it only when it is missing."
    )
