"""The session of a kernel: the workspace in use, and names for completion."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from mljupyter.errors import MLJupyterError
from mljupyter.notebook.options.deployment_options import CURRENT
from mljupyter.notebook.scripts import KeptScripts

if TYPE_CHECKING:
    from mljupyter.core import Workspace
    from mljupyter.targets.base import Target

_FRESH_SECONDS = 5.0


class NameCache:
    """A cache of names by kind, read in the background so that completion never waits.

    Names may be some seconds old: a request for old names returns them and starts a refresh.
    """

    def __init__(self, read: Callable[[], dict[str, tuple[str, ...]]]) -> None:
        self._read = read
        self._names: dict[str, tuple[str, ...]] = {}
        self._read_at: float | None = None
        self._busy = threading.Lock()

    def names(self, kind: str) -> tuple[str, ...]:
        """Return the cached names at once."""
        if self._read_at is None or time.monotonic() - self._read_at > _FRESH_SECONDS:
            self.refresh_soon()
        return self._names.get(kind, ())

    def refresh_soon(self) -> None:
        """Read the names on a thread, unless one is already doing so."""
        if self._busy.acquire(blocking=False):
            threading.Thread(target=self._refresh, name="mljupyter-names", daemon=True).start()

    def refresh(self) -> None:
        """Read the names now."""
        with self._busy:
            self._names = self._read()
            self._read_at = time.monotonic()

    def _refresh(self) -> None:
        try:
            # Completion is optional: without a workspace, or with a damaged one, there are no names and no error.
            with contextlib.suppress(Exception):
                self._names = self._read()
            self._read_at = time.monotonic()
        finally:
            self._busy.release()


class WorkspaceGoneError(MLJupyterError):
    """The current workspace no longer exists."""


class Session:
    """The magics' state in one kernel."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._chosen: Workspace | None = None
        self._default: Workspace | None = None
        self.cache = NameCache(self._read_names)
        self.deployed: dict[tuple[str, str, str], Any] = {}
        """The content that this kernel gave a version last, by the names of workspace, endpoint and version."""

    def workspace(self) -> Workspace:
        """Return the current workspace: the one chosen by ``%mlj workspace``, else the default one.

        Raises:
            MLJupyterError: the chosen workspace was deleted, or the default one cannot be used.

        """
        if self._chosen is not None:
            if not self._chosen.context.is_there:
                raise WorkspaceGoneError(
                    f"The workspace {self._chosen.name!r} was deleted. Choose another one: %mlj workspace NAME"
                )
            return self._chosen
        from mljupyter.core.selection import default_workspace  # the SDK is imported when a magic needs it

        return self._known(default_workspace())

    def existing(self) -> Workspace | None:
        """Return the current workspace, or None if there is none yet: unlike `workspace`, this creates nothing.

        Raises:
            MLJupyterError: the chosen workspace was deleted.

        """
        if self._chosen is not None:
            return self.workspace()
        from mljupyter.core.selection import existing_default  # as above

        found = existing_default()
        return None if found is None else self._known(found)

    def targets(self) -> Mapping[str, Target]:
        """Return the compute targets of the current workspace, or those that the first workspace will have."""
        from mljupyter.targets.catalog import find_targets  # as above

        found = self.existing()
        return find_targets(_first_workspace() if found is None else found.context)

    def _known(self, found: Workspace) -> Workspace:
        # The same object for the same workspace: it keeps its connections.
        if self._default is None or self._default.directory != found.directory or not self._default.context.is_there:
            self._default = found
        return self._default

    def use(self, workspace: Workspace, *, refresh: bool = True) -> None:
        """Make a workspace the current one.

        Parameters:
            workspace: the workspace.
            refresh: read its names for completion, on a thread.

        """
        self._chosen = workspace
        if refresh:
            self.cache.refresh_soon()

    def scripts(self) -> KeptScripts:
        """Return the scoring scripts stored in the current workspace."""
        return KeptScripts(Path(self.workspace().directory))

    def script_names(self) -> list[str]:
        """Return the names of the scoring scripts; none without a workspace."""
        return [] if self.existing() is None else self.scripts().names()

    def workspace_name(self) -> str:
        """Return the name of the current workspace, or the one that the first workspace will have."""
        found = self.existing()
        return _first_workspace().name if found is None else found.name

    def names(self, kind: str) -> Iterable[str]:
        """Return the names of a kind for completion, without waiting."""
        if kind in ("variable", "estimator"):
            return sorted(name for name, value in self._variables() if kind == "variable" or _predicts(value))
        return self.cache.names(kind)

    def _variables(self) -> list[tuple[str, Any]]:
        hidden = self._shell.user_ns_hidden
        return [
            (name, value) for name, value in list(self._shell.user_ns.items()) if name[0] != "_" and name not in hidden
        ]

    def _read_names(self) -> dict[str, tuple[str, ...]]:
        from mljupyter.core import Workspace  # as above

        workspace = self._chosen or self._default
        if workspace is not None and not workspace.context.is_there:
            return {}
        if workspace is None:
            if not Workspace.list():
                return {}  # completion must not create the first workspace
            workspace = self.workspace()
        return _names_in(workspace)


def _names_in(workspace: Workspace) -> dict[str, tuple[str, ...]]:
    """Return names by kind: endpoints, their versions as ``endpoint:version``, models as ``name`` and ``name:version``,
    environments, scripts, targets, workspaces.
    """
    from mljupyter.core import Model  # completion reads names on a thread, long after loading
    from mljupyter.core import Workspace as SomeWorkspace

    models = Model.list(workspace)
    endpoints = workspace.endpoints.endpoints(start=False)
    return {
        "endpoint": tuple(sorted(record.spec.name for record in endpoints)),
        "environment": (CURRENT, *sorted(record.name for record in workspace.registry.environments.list())),
        "version": tuple(f"{record.spec.name}:{version}" for record in endpoints for version in record.spec.versions),
        "model": tuple(sorted({model.name for model in models} | {model.id for model in models})),
        "score": tuple(KeptScripts(Path(workspace.directory)).names()),
        "target": tuple(sorted(workspace.compute_targets)),
        "workspace": tuple(sorted(SomeWorkspace.list())),
    }


@dataclass(frozen=True)
class _FirstWorkspace:
    """The part of a workspace that targets read, before there is one."""

    name: str
    directory: Path
    artifact_location: str


def _first_workspace() -> _FirstWorkspace:
    from mljupyter.core.selection import first_name  # as above
    from mljupyter.workspace.index import index  # as above

    name = first_name()
    directory = index() / name
    return _FirstWorkspace(name, directory, str(directory / "artifacts"))


def _predicts(value: Any) -> bool:
    """Return whether a variable may be an estimator. Only its class is asked, because this runs during typing."""
    from mljupyter.core.estimator import looks_like_estimator  # slow import; completion runs long after loading

    return looks_like_estimator(value)


_sessions: WeakKeyDictionary[Any, Session] = WeakKeyDictionary()


def session_of(shell: Any) -> Session:
    """Return the session of a shell, always the same object."""
    if shell not in _sessions:
        _sessions[shell] = Session(shell)
    return _sessions[shell]


def forget(shell: Any) -> None:
    """Drop a shell's session."""
    _sessions.pop(shell, None)
