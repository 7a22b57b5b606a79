"""Where a workspace keeps what: its control directory on disk, and its sockets in a short runtime directory."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mljupyter.controller.errors import SocketPathError

LONGEST_SOCKET_PATH = 103 if sys.platform == "darwin" else 107
RUNTIME_VARIABLE = "MLJUPYTER_RUNTIME_DIR"
_LONGEST_SOCKET_NAME = "controller.sock"


@dataclass(frozen=True)
class Layout:
    """The files of one workspace that belong to its controller."""

    directory: Path

    @classmethod
    def of(cls, directory: Path | str) -> Layout:
        """Return the layout of a workspace directory, whichever path leads to it."""
        return cls(Path(directory).resolve())

    @property
    def control(self) -> Path:
        """The controller's own directory."""
        return self.directory / "control"

    @property
    def lock(self) -> Path:
        """The file whose lock makes a process the controller."""
        return self.control / "controller.lock"

    @property
    def log(self) -> Path:
        """The controller's log."""
        return self.control / "controller.log"

    @property
    def database(self) -> Path:
        """Wanted and observed endpoints."""
        return self.control / "controller.db"

    @property
    def metrics(self) -> Path:
        """The time series of all endpoints."""
        return self.control / "metrics.db"

    @property
    def artifacts(self) -> Path:
        """The workspace's artifact store."""
        return self.directory / "artifacts"

    @property
    def collected(self) -> Path:
        """What scoring scripts collect, one directory for each endpoint."""
        return self.directory / "collected"

    @property
    def router(self) -> Path:
        """The router's configuration and log."""
        return self.control / "router"

    @property
    def tls(self) -> Path:
        """Certificates in use with their private keys, and the workspace's own authority."""
        return self.control / "tls"

    @property
    def token_keys(self) -> Path:
        """The keys that sign tokens."""
        return self.control / "token-keys.json"

    @property
    def replica_key(self) -> Path:
        """The key that the secrets of replicas follow from."""
        return self.control / "replica-key"

    @property
    def replicas(self) -> Path:
        """One directory for each replica."""
        return self.control / "replicas"

    @property
    def revisions(self) -> Path:
        """One app root for each revision, shared by its replicas."""
        return self.control / "revisions"

    @property
    def runtime_link(self) -> Path:
        """The link to the directory of the sockets, so that all clients find the same one."""
        return self.control / "run"

    def runtime(self) -> Path:
        """Return the directory of the sockets: the one in use, or else the one this process would choose."""
        try:
            return self.runtime_link.readlink()
        except OSError:
            return runtime_directory(self.directory)

    def socket(self) -> Path:
        """Return the path of the controller's socket."""
        return self.runtime() / _LONGEST_SOCKET_NAME

    def router_admin_socket(self) -> Path:
        """Return the path of the router's admin socket."""
        return self.runtime() / "router.sock"

    def waiting_room_socket(self) -> Path:
        """Return the path of the socket where requests wait for a version without replicas; see `RouterSettings`."""
        return self.runtime() / "waiting.sock"

    def prepare(self) -> None:
        """Create the directories, open to the owner alone.

        Raises:
            SocketPathError: when sockets would have too long a path, or their directory belongs to somebody else.

        """
        for path in (self.control, self.router, self.tls, self.replicas, self.revisions):
            private_directory(path)
        runtime = self.runtime()
        if not runtime.is_dir():
            runtime = runtime_directory(self.directory)
        check_socket_path(runtime / _LONGEST_SOCKET_NAME)
        private_directory(runtime.parent)
        private_directory(runtime)
        if self.runtime() != runtime or not self.runtime_link.is_symlink():
            temporary = self.runtime_link.with_suffix(f".{secrets.token_hex(8)}")  # other clients may do the same
            temporary.symlink_to(runtime)
            temporary.replace(self.runtime_link)

    def leave(self) -> None:
        """Remove the directory of the sockets, unless something is still in it."""
        runtime = self.runtime()
        with suppress(OSError):
            admin = self.router_admin_socket()
            of_routers = runtime.glob(f"{admin.stem}*{admin.suffix}")
            for path in (self.socket(), self.waiting_room_socket(), *of_routers):
                path.unlink(missing_ok=True)
            runtime.rmdir()
            self.runtime_link.unlink()


def runtime_directory(workspace: Path) -> Path:
    """Return the directory for a workspace's sockets: short, since a socket's path may have 107 bytes.

    ``MLJUPYTER_RUNTIME_DIR`` decides, else ``XDG_RUNTIME_DIR``, else the directory for temporary files.
    """
    name = hashlib.sha256(os.fsencode(workspace)).hexdigest()[:10]
    if chosen := os.environ.get(RUNTIME_VARIABLE):
        return Path(chosen) / name
    system = os.environ.get("XDG_RUNTIME_DIR")
    if system and os.access(system, os.W_OK):
        return Path(system) / "mljupyter" / name
    return Path(tempfile.gettempdir()) / f"mljupyter-{os.getuid()}" / name


def ports_directory() -> Path:
    """Return the directory in which all workspaces of this user reserve ports, open to the owner alone."""
    directory = Path(tempfile.gettempdir()) / f"mljupyter-{os.getuid()}"
    private_directory(directory)
    private_directory(directory / "ports")
    return directory / "ports"


def check_socket_path(path: Path) -> None:
    """Raise `SocketPathError` when a socket's path is longer than the system allows."""
    length = len(os.fsencode(path))
    if length > LONGEST_SOCKET_PATH:
        raise SocketPathError(
            f"the socket path {str(path)!r} has {length} bytes: the system allows {LONGEST_SOCKET_PATH}.\n"
            f"Set {RUNTIME_VARIABLE} to a directory with a shorter path, for example /tmp/mlj."
        )


def private_directory(path: Path) -> None:
    """Create a directory that only its owner may enter, or check that an existing one is of that kind."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise SocketPathError(
            f"{str(path)!r} is not a directory of yours: it holds sockets and keys, so it must be.\n"
            f"Remove it, or set {RUNTIME_VARIABLE} to a directory of your own."
        )
    if status.st_mode & 0o077:
        path.chmod(0o700)
