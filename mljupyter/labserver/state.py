"""What the routes of one server share: open workspaces, their feeds, the views, and a pool of threads."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mljupyter.core import Workspace
from mljupyter.core.selection import existing_default
from mljupyter.labserver.feed import WorkspaceFeed
from mljupyter.labserver.once import Once
from mljupyter.labserver.views import Views

_AT_ONCE = 8


class ServerState:
    """What the routes share.

    Parameters:
        root: the directory that the file browser shows.

    Attributes:
        pool: runs the slow work of requests, a few at a time.
        views: the open monitors, logs and wizards.
        once: the changes that pages have asked for in the last minutes.

    """

    def __init__(self, root: Path) -> None:
        self.pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="mljupyter request")
        self.views = Views(root)
        self.once = Once()
        self._lock = threading.Lock()
        self._workspaces: dict[str, Workspace] = {}
        self._feeds: dict[str, WorkspaceFeed] = {}

    def workspace(self, name: str) -> Workspace:
        """Return the workspace of a name: the same object while the name leads to the same workspace.

        Raises:
            WorkspaceException: there is none.

        """
        return self._known(Workspace.get(name))

    def default(self) -> Workspace | None:
        """Return the workspace that notebooks use by default; None if it does not exist yet."""
        found = existing_default()
        return None if found is None else self._known(found)

    def _known(self, found: Workspace) -> Workspace:
        with self._lock:
            known = self._workspaces.get(found.name)
            # A workspace that was deleted and created again has another id in the same directory.
            if known is None or _identity(known) != _identity(found):
                self._workspaces[found.name] = known = found
            return known

    def feed(self, name: str) -> WorkspaceFeed:
        """Return the feed of a workspace's endpoints; see `workspace` for errors."""
        workspace = self.workspace(name)
        with self._lock:
            feed = self._feeds.get(name)
            if feed is None or feed.context is not workspace.context:
                self._feeds[name] = feed = WorkspaceFeed(workspace.context)
            return feed

    def close(self) -> None:
        """End feeds, views and threads; endpoints go on."""
        with self._lock:
            for feed in self._feeds.values():
                feed.close()
            self._feeds.clear()
        self.views.close()
        self.pool.shutdown(wait=False, cancel_futures=True)


def _identity(workspace: Workspace) -> tuple[str, str]:
    return workspace.context.document.id, str(workspace.directory)
