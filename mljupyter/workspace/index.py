"""Index of workspaces: the ``workspaces`` folder of a home directory has one entry for each name.

An entry is the workspace's directory or, if the user chose another path, a symbolic link to it. The index has no other
file: directories and links are created atomically. Links are absolute, so they survive a move of the home directory.
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
from mljupyter.files import expanded, in_home, write_whole
from mljupyter.registry.locking import NoLocksError, check_locks
from mljupyter.spec import Document, SpecError
from mljupyter.spec.names import WORKSPACE

HOME_VARIABLE = "MLJUPYTER_HOME"
DOCUMENT_NAME = "workspace.json"


class NameTakenError(WorkspaceException):
    """The index already has this name."""


class WorkspaceDocument(Document):
    """The document ``workspace.json``."""

    name: str
    id: str
    created_time: datetime
    created_by: str | None = None
    subscription_id: str
    resource_group: str
    location: str
    tags: dict[str, str] = {}
    friendly_name: str | None = None
    description: str | None = None
    container_registry: str | None = None


def home() -> Path:
    """Return the home directory: ``$MLJUPYTER_HOME``, else ``~/.mljupyter``.

    Raises:
        WorkspaceException: neither is known, as for a user of a container who has no name and no ``HOME``.

    """
    given = os.environ.get(HOME_VARIABLE)
    place = expanded(given) if given else in_home(None, ".mljupyter")
    if place.is_relative_to(os.devnull):
        raise WorkspaceException(
            f"There is no home directory for workspaces: HOME is not set, and user {os.getuid()} has no name here.\n"
            f"Set {HOME_VARIABLE} to a directory of your own, or HOME."
        )
    return place.absolute()


def index() -> Path:
    """Return the directory that holds one entry for each workspace name."""
    return home() / "workspaces"


def directories() -> set[Path]:
    """Return the directories of all known workspaces that exist, resolved."""
    found = set()
    for name in known():
        try:
            found.add(existing(name).resolve())
        except WorkspaceException:
            continue  # its directory is gone
    return found


def known() -> Iterator[str]:
    """Yield the names in the index, sorted, dangling links included."""
    if index().is_dir():
        yield from sorted(entry.name for entry in index().iterdir() if not entry.name.startswith("."))


def check_name(name: str) -> None:
    """Raise `UserErrorException` for an invalid name (Azure ML v1: workspace names)."""
    try:
        WORKSPACE.check(name)
    except SpecError as error:
        raise UserErrorException(error.message) from None


def existing(name: str) -> Path:
    """Return the directory of the workspace with that name; raise `WorkspaceException` if there is none."""
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
    """Return the directory of the workspace with that name, at that path if one is given; None if there is none."""
    if place is None:
        return find(name)
    entry = index() / name
    directory = entry.resolve()
    return directory if os.path.lexists(entry) and directory == place.resolve() and holds(directory) else None


def find(name: str) -> Path | None:
    """Return the directory of the workspace with that name, or None if the index does not have the name.

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
    """Return whether a directory is a workspace; raise `WorkspaceException` if this user may not read it."""
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
        WorkspaceException: the document is missing, cannot be read, or belongs to another user.

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


def parse(content: bytes, source: Path) -> WorkspaceDocument:
    """Return the document of a workspace that another file holds; raise `WorkspaceException` if it is none."""
    try:
        return WorkspaceDocument.parse(content)
    except SpecError as error:
        raise WorkspaceException(f"{source} holds no workspace: {error.message}") from None


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
    """Create the directory of a new workspace and add its name to the index; return the directory.

    Parameters:
        document: the workspace's name, id and Azure ids.
        path: the directory. It must not exist, or be empty, or hold a workspace of the same name, which is then added
            to the index unchanged. By default the directory is created in the index.

    Raises:
        WorkspaceException: the name is taken, or the directory cannot be used.

    """
    try:
        home().mkdir(mode=0o700, parents=True, exist_ok=True)
        index().mkdir(mode=0o700, exist_ok=True)
        return _create_at(document, path.absolute()) if path is not None else _create_in_index(document)
    except NoLocksError as error:
        raise WorkspaceException(f"Workspace {document.name!r} cannot be created: {error.message}") from None
    except OSError as error:
        raise WorkspaceException(
            f"Workspace {document.name!r} cannot be created: {error.strerror}: {error.filename}\n"
            f"Choose another place with Workspace.create(..., path=DIR), or another home with {HOME_VARIABLE}."
        ) from error


def change(directory: Path, **changes: object) -> WorkspaceDocument:
    """Change values of the document of a workspace, and return the document."""
    document = WorkspaceDocument.parse({**read(directory).model_dump(by_alias=True, mode="json"), **changes})
    _write(document, directory)
    return document


def remove(name: str, directory: Path) -> None:
    """Remove a workspace's directory with all its content, and its name from the index."""
    entry = index() / name
    if entry.is_symlink() and entry.resolve() == directory.resolve():
        entry.unlink()
    # Renamed first: an interrupted removal leaves no directory that looks like a workspace, and nobody who still uses
    # the workspace writes into it meanwhile.
    doomed = directory.with_name(f".removed-{uuid.uuid4().hex}")
    try:
        directory.rename(doomed)
    except OSError:  # a mount point, for example
        (directory / DOCUMENT_NAME).unlink(missing_ok=True)
        doomed = directory
    shutil.rmtree(doomed)


def _create_in_index(document: WorkspaceDocument) -> Path:
    check_locks(index())
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
            raise _taken(document.name) from error  # another process was faster
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return entry


def _create_at(document: WorkspaceDocument, path: Path) -> Path:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory = path.resolve()
    _refuse_of_others(directory)  # also an empty one: its owner could add files later
    check_locks(directory)
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
