"""Errors of the controller for its clients. Their code is sent over the socket."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from typing import ClassVar

from mljupyter.engine.endpoints.unknown_endpoint import unknown_endpoint
from mljupyter.errors import MLJupyterError

_FULL = ("SQLITE_FULL", "ENOSPC", "EDQUOT")
_READ_ONLY = ("SQLITE_READONLY", "SQLITE_READONLY_DIRECTORY", "EROFS", "EACCES", "EPERM")


def way_out(error: Exception) -> str:
    """Return the solution if `error`, of the system or SQLite, is about an unwritable path; otherwise empty."""
    name = getattr(error, "sqlite_errorname", None) or errno.errorcode.get(getattr(error, "errno", None) or 0)
    if name in _FULL:
        return "The disk is full: make room on the disk, and retry."
    if name in _READ_ONLY:
        return "Make it writable for your user, or mount it for writing, and retry."
    return ""


def stopped(what: str, error: Exception) -> str:
    """Return the message for a user if the controller must stop because of `error`."""
    return f"{what}: {error}. Endpoints keep serving.\n{way_out(error)}".rstrip()


class ControllerError(MLJupyterError):
    """The controller refuses or fails. `code` is a word to search for, `status_code` its HTTP status."""

    code: ClassVar[str] = "ControllerError"
    status_code: ClassVar[int] = 500


class ControllerStartError(ControllerError):
    """The controller cannot be started or reached."""

    code = "ControllerStartFailed"
    status_code = 503


class InvalidSpecError(ControllerError):
    """A document sent to the controller breaks a rule."""

    code = "InvalidSpec"
    status_code = 400


class DocumentTooLargeError(ControllerError):
    """A document sent to the controller is larger than any that is read."""

    code = "DocumentTooLarge"
    status_code = 413


class EndpointNotFoundError(ControllerError):
    """No endpoint has this name."""

    code = "WebserviceNotFound"
    status_code = 404

    @classmethod
    def named(cls, name: str, known: Iterable[str], place: str = "in this workspace") -> EndpointNotFoundError:
        """Return the error for a name that is not among the `known` ones; see `unknown_endpoint`."""
        return cls(f"{cls.code}: {unknown_endpoint(name, known, place)}")


class ReplicaNotFoundError(ControllerError):
    """No replica with this id runs, or it cannot be measured now."""

    code = "ReplicaNotFound"
    status_code = 404


class EndpointExistsError(ControllerError):
    """An endpoint with this name exists, and `overwrite` is not set."""

    code = "WebserviceExists"
    status_code = 409


class EndpointBusyError(ControllerError):
    """Another operation on the endpoint is under way."""

    code = "OperationInProgress"
    status_code = 409


class EndpointChangedError(EndpointBusyError):
    """The endpoint has changed since it was read; the requested change was based on the older one."""

    code = "EndpointChanged"


class RolloutInProgressError(EndpointBusyError):
    """A rollout controls versions and shares until it ends."""

    code = "RolloutInProgress"


class RolloutRefusedError(ControllerError):
    """A rollout, a promotion or a rollback is not possible for the present endpoint."""

    code = "RolloutRefused"
    status_code = 409


class KeysNotAvailableError(ControllerError):
    """The endpoint has no key authentication."""

    code = "KeysNotAvailable"
    status_code = 400


class TokensNotAvailableError(ControllerError):
    """The endpoint has no token authentication."""

    code = "TokensNotAvailable"
    status_code = 400


class CertificateError(ControllerError):
    """A certificate cannot be used."""

    code = "CertificateInvalid"
    status_code = 400


class AuthenticationRequiredError(ControllerError):
    """Other machines can reach the router, and an endpoint would be open to all of them."""

    code = "AuthenticationRequired"
    status_code = 409


class DomainExistsError(ControllerError):
    """The router already has a leaf domain, and overwriting is not set."""

    code = "DomainExists"
    status_code = 409


class PortInUseError(ControllerError):
    """The requested port is taken."""

    code = "PortInUse"
    status_code = 409


class CollectedDataError(ControllerError):
    """Collected data cannot be read."""

    code = "CollectedDataNotAvailable"
    status_code = 409


class StorageError(ControllerError):
    """The controller cannot write its state."""

    code = "StorageFailed"
    status_code = 507


class SocketPathError(ControllerStartError):
    """The path of a Unix socket is longer than the system allows, or its directory belongs to another user."""

    code = "SocketPathInvalid"


_CLASSES: dict[str, type[ControllerError]] = {
    kind.code: kind
    for kind in (
        InvalidSpecError,
        DocumentTooLargeError,
        EndpointNotFoundError,
        ReplicaNotFoundError,
        EndpointExistsError,
        EndpointBusyError,
        EndpointChangedError,
        RolloutInProgressError,
        RolloutRefusedError,
        KeysNotAvailableError,
        TokensNotAvailableError,
        CertificateError,
        AuthenticationRequiredError,
        DomainExistsError,
        PortInUseError,
        CollectedDataError,
        StorageError,
    )
}


def error_for(code: str, message: str) -> ControllerError:
    """Return the error for a code from the socket."""
    return _CLASSES.get(code, ControllerError)(message)
