"""The file layout of a workspace: its control directory on disk, and its sockets in a short runtime directory."""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mljupyter import ownership
from mljupyter.client.errors import SocketPathError
from mljupyter.files import expanded
from mljupyter.registry.locking import NoLocksError, check_locks

LONGEST_SOCKET_PATH = 103 if sys.platform == "darwin" else 107
RUNTIME_VARIABLE = "MLJUPYTER_RUNTIME_DIR"
_LONGEST_SOCKET_NAME = "controller.sock"
_PREFIX = "mlj-"
_RANDOM_BYTES = 6  # of a directory's name; a correct guess, one in 2**48, could only prevent the use of that name


@dataclass(frozen=True)
class Layout:
    """The files of one workspace that belong to its controller."""

    directory: Path

    @classmethod
    def of(cls, directory: Path | str) -> Layout:
        """Return the layout of a workspace directory, the same for all paths that lead to it."""
        return cls(Path(directory).resolve())

    @property
    def control(self) -> Path:
        """The controller's own directory."""
        return self.directory / "control"

    @property
    def lock(self) -> Path:
        """The lock file. The process that holds the lock is the controller."""
        return self.control / "controller.lock"

    @property
    def log(self) -> Path:
        """The controller's log."""
        return self.control / "controller.log"

    @property
    def database(self) -> Path:
        """The database of endpoints: desired and observed state."""
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
        """The data that scoring scripts collect, one directory for each endpoint."""
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
        """The key that the replica keys derive from."""
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
        """The link to the directory of the sockets, by which all clients find the same one."""
        return self.control / "run"

    def runtime(self) -> Path:
        """Return the directory of the sockets that `prepare` chose.

        Without one, it is a path that does not exist: the path is never computed, since others could compute it too.
        """
        try:
            return self.runtime_link.readlink()
        except OSError:
            return self.runtime_link

    def socket(self) -> Path:
        """Return the path of the controller's socket."""
        return self.runtime() / _LONGEST_SOCKET_NAME

    def router_admin_socket(self) -> Path:
        """Return the path of the router's admin socket."""
        return self.runtime() / "router.sock"

    def activator_socket(self) -> Path:
        """Return the path of the activator's socket, where requests wait for a version without replicas."""
        return self.runtime() / "waiting.sock"

    def prepare(self) -> None:
        """Create the directories, accessible only to the owner.

        A missing directory of sockets is created again in its place. One that is accessible to others, or belongs to
        another user by now, is not used any more, and the link is changed to a new one.

        Raises:
            SocketPathError: when sockets would have too long a path, or no directory is safe from other users.

        """
        for path in (self.control, self.router, self.tls, self.replicas, self.revisions):
            private_directory(path, "Only its owner can use a workspace: use one of your own.")
        with self._choosing():
            if not self._restored():
                self._link_to(new_runtime_directory())

    def examine(self) -> Path:
        """Return the present or future directory of the sockets, without changing anything.

        Raises:
            SocketPathError: when sockets would have too long a path, or no directory is safe from other users.

        """
        runtime = self.runtime()
        if runtime == self.runtime_link or not runtime.is_dir() or runtime.stat().st_uid != os.getuid():
            return check_runtime_base()  # a new one is chosen when a controller starts
        if runtime.stat().st_mode & 0o077:
            raise SocketPathError(f"{str(runtime)!r} holds sockets and is open to other users.\nchmod 700 {runtime}")
        check_socket_path(self.socket())
        return runtime

    def leave(self) -> None:
        """Remove the directory of the sockets, unless it still contains something."""
        with suppress(OSError), self._choosing():
            runtime = self.runtime()
            admin = self.router_admin_socket()
            of_routers = runtime.glob(f"{admin.stem}*{admin.suffix}")
            for path in (self.socket(), self.activator_socket(), runtime / "no-grpc.sock", *of_routers):
                path.unlink(missing_ok=True)
            runtime.rmdir()
            self.runtime_link.unlink()

    @contextmanager
    def _choosing(self) -> Iterator[None]:
        """Let one process or thread at a time choose the directory of sockets: concurrent starts agree on one."""
        descriptor = os.open(self.control, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with suppress(OSError):  # some network file systems cannot lock directories: then the last one decides
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _restored(self) -> bool:
        """Return whether the directory chosen before can be used. It is created again if it is missing."""
        runtime = self.runtime()
        if runtime == self.runtime_link:
            return False
        try:
            runtime.lstat()
        except OSError:
            if not runtime.is_relative_to(runtime_base()):  # the configured base has changed, or was removed
                return False
        try:
            private_directory(runtime)
            return ownership.weak_spot(runtime.parent) is None
        except (OSError, SocketPathError):
            return False

    def _link_to(self, runtime: Path) -> None:
        temporary = self.runtime_link.with_suffix(f".{secrets.token_hex(8)}")
        temporary.symlink_to(runtime)
        temporary.replace(self.runtime_link)


def runtime_base() -> Path:
    """Return the base of directories for sockets. It has a short path, since a socket's path has at most 107 bytes.

    It is ``MLJUPYTER_RUNTIME_DIR``, else ``XDG_RUNTIME_DIR``, else the directory for temporary files, or ``/tmp`` if
    the path of that one is too long.
    """
    if chosen := os.environ.get(RUNTIME_VARIABLE):
        return expanded(chosen).absolute()
    system = os.environ.get("XDG_RUNTIME_DIR")
    if system and os.access(system, os.W_OK) and Path(system).stat().st_uid == os.getuid():  # su keeps it
        return Path(system).absolute() / "mljupyter"
    temporary = Path(tempfile.gettempdir()).absolute()
    if _length(_new_name(temporary) / _LONGEST_SOCKET_NAME) > LONGEST_SOCKET_PATH:
        return Path("/tmp")  # noqa: S108 - the directory in it gets a random name and is private
    return temporary


def check_runtime_base() -> Path:
    """Return the base of directories for sockets, after a check that it is safe. It need not exist yet.

    Raises:
        SocketPathError: when the path of sockets there would be too long, or other users could replace them.

    """
    base = runtime_base()
    check_socket_path(_new_name(base) / _LONGEST_SOCKET_NAME)
    try:
        there = next(place for place in (base, *base.parents) if place.exists())
        problem = ownership.weak_spot(there)
        if problem is None and not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
            problem = f"{str(there)!r} cannot be written to"
    except OSError as error:
        problem = f"{error.strerror}: {error.filename!r}"
    if problem is not None:
        raise SocketPathError(
            f"sockets cannot be kept in {str(base)!r}: {problem}.\n"
            f"Set {RUNTIME_VARIABLE} to another directory: one of your own with a short path, or /tmp."
        )
    return base


def new_runtime_directory() -> Path:
    """Create and return a directory for sockets with a new random name, accessible only to the owner.

    Raises:
        SocketPathError: in the same cases as `check_runtime_base`.

    """
    base = check_runtime_base()
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_runtime_base()  # in a directory like /tmp another user may have created it in this moment
    while True:
        directory = _new_name(base)
        with suppress(FileExistsError):
            directory.mkdir(mode=0o700)
            return directory


def _new_name(base: Path) -> Path:
    return base / f"{_PREFIX}{secrets.token_hex(_RANDOM_BYTES)}"


def ports_directory(control: Path) -> Path:
    """Return the directory for port reservations, accessible only to the owner: one for all workspaces of this user.

    It is in the user's home directory, independent of workspaces and sockets, since all of the user's controllers must
    use the same one. If the home cannot be used, it is beside the sockets, if that directory belongs to the user.
    Otherwise a workspace reserves ports only for itself: another user's directory must not prevent a start.

    Parameters:
        control: the workspace's own control directory.

    """
    for place in (Path(os.path.expanduser("~")), runtime_base()):  # noqa: PTH111 - this one never raises
        directory = place / ".mljupyter" / "ports"
        try:
            if place.stat().st_uid == os.getuid():
                directory.parent.mkdir(mode=0o700, exist_ok=True)
                private_directory(directory)
                if os.access(directory, os.W_OK | os.X_OK):
                    check_locks(directory)  # a home directory may be on a network
                    return directory
        except (OSError, SocketPathError, NoLocksError):
            continue
    private_directory(control / "ports")
    return control / "ports"


def check_socket_path(path: Path) -> None:
    """Raise `SocketPathError` when a socket's path is longer than the system allows."""
    length = _length(path)
    if length > LONGEST_SOCKET_PATH:
        raise SocketPathError(
            f"the socket path {str(path)!r} has {length} bytes: the system allows {LONGEST_SOCKET_PATH}.\n"
            f"Set {RUNTIME_VARIABLE} to a directory with a shorter path, for example /tmp."
        )


def _length(path: Path) -> int:
    return len(os.fsencode(path))


def private_directory(path: Path, way_out: str = f"Set {RUNTIME_VARIABLE} to a directory of your own.") -> None:
    """Create a directory that only its owner may enter, or check that an existing one is private.

    Parameters:
        path: the directory. Missing parents are created.
        way_out: the remedy when it belongs to another user.

    Raises:
        SocketPathError: when it belongs to another user, or is not a directory.

    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        whose = f"it belongs to {ownership.name_of(status.st_uid)}" if status.st_uid != os.getuid() else "it is a link"
        raise SocketPathError(f"{str(path)!r} must be your own directory, for sockets and keys: {whose}.\n{way_out}")
    if status.st_mode & 0o077:
        path.chmod(0o700)
