"""The listening socket of a replica or zygote: a Unix socket that only its owner can open, or a TCP port."""

# ruff: noqa: PTH108
# pathlib takes 3 ms to import, and every start of a replica would pay them in both processes.
from __future__ import annotations

import errno
import os
import socket
import stat

from mljupyter.scoring.configuration import Configuration, ConfigurationError

_BACKLOG = 2048
_OWNER_ONLY_UMASK = 0o177


def listen(configuration: Configuration) -> socket.socket:
    """Return a listening socket; a stale Unix socket file is replaced.

    Raises ConfigurationError when another process listens there or the address cannot be used.
    """
    if configuration.template_descriptor is not None:
        return socket.socket(fileno=configuration.template_descriptor)
    if path := configuration.template_socket or configuration.unix_socket:
        return listen_unix(path)
    family = socket.AF_INET6 if ":" in configuration.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((configuration.host, configuration.port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        address = f"{configuration.host}:{configuration.port}"
        if error.errno == errno.EADDRINUSE:
            raise ConfigurationError(f"{address} is in use by another process; choose another --port") from error
        raise ConfigurationError(f"cannot listen on {address}: {error.strerror or error}") from error
    listener.setblocking(False)
    return listener


def close(listener: socket.socket, configuration: Configuration) -> None:
    """Close the listening socket and remove its file, unless another process listens there now."""
    listener.close()
    path = configuration.template_socket or configuration.unix_socket
    if path and not _is_alive(path):
        _remove_socket(path)


def listen_unix(path: str) -> socket.socket:
    """Return a socket that listens at a path with mode 0600; see `listen`."""
    if _is_alive(path):
        raise ConfigurationError(f"another process already listens on {path}; stop it or choose another --unix-socket")
    _remove_socket(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    previous = os.umask(_OWNER_ONLY_UMASK)
    try:
        listener.bind(path)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigurationError(f"cannot listen on {path}: {error.strerror or error}") from error
    finally:
        os.umask(previous)
    listener.setblocking(False)
    return listener


def _is_alive(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError as error:
            return error.errno not in (errno.ENOTSOCK, errno.ENOTDIR)
        return True


def _remove_socket(path: str) -> None:
    try:
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise ConfigurationError(f"cannot remove the old socket {path}: {error.strerror}") from error
