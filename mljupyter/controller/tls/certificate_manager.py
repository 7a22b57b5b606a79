"""The certificate manager reads changed certificates of users, and renews those that the workspace signs."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mljupyter.client.errors import CertificateError
from mljupyter.controller.tls.authority import Authority
from mljupyter.controller.tls.certificates import WARNED_BEFORE, checked, expiry_problem
from mljupyter.controller.tls.private_files import write_private
from mljupyter.engine.envoy.listener import Pair
from mljupyter.outside import json_value
from mljupyter.spec import CertificateFiles, CertificateSecret, CertificateStatus, Problem

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LeafCertificate:
    """A certificate that the workspace signs, for these host names and IP addresses."""

    hosts: tuple[str, ...]


Own = CertificateFiles | CertificateSecret
Wanted = Own | LeafCertificate
ReadSecret = Callable[[str], tuple[str, str]]
"""Returns the certificate and the key in a Secret, by its name. Raises `CertificateError` if there are none."""
_NOT_SEEN = object()


def no_secrets(name: str) -> tuple[str, str]:
    """Refuse to read a Secret: a machine has none.

    Raises:
        CertificateError: always.

    """
    raise CertificateError(f"this machine has no Secret {name!r}: Secrets are on clusters. Give files here.")


@dataclass
class _Kept:
    """The state of one certificate: the settings, the source as it was read, and the certificate in use."""

    wanted: Wanted
    seen: object = _NOT_SEEN
    pair: Pair | None = None
    status: CertificateStatus | None = None
    problem: Problem | None = None


class CertificateManager:
    """The certificates in use, by name.

    Parameters:
        directory: the directory for copies of the pairs in use, so that files can be damaged without effect.
        authority: signs certificates if users give none.
        secrets: reads Secrets.

    """

    def __init__(self, directory: Path, authority: Authority, secrets: ReadSecret = no_secrets) -> None:
        self._directory = directory
        self._authority = authority
        self._secrets = secrets
        self._kept: dict[str, _Kept] = {}

    @property
    def pairs(self) -> dict[str, Pair]:
        """The available certificates with their keys, by name."""
        return {name: kept.pair for name, kept in self._kept.items() if kept.pair is not None}

    def status(self, name: str, now: datetime) -> CertificateStatus | None:
        """Return the status of a certificate with its problem; None without a certificate."""
        kept = self._kept.get(name)
        if kept is None or kept.status is None:
            return None
        return kept.status.model_copy(update={"problem": kept.problem or expiry_problem(kept.status, now)})

    def problem(self, name: str, now: datetime) -> Problem | None:
        """Return the problem of a certificate, whether or not an earlier one is in use."""
        kept, status = self._kept.get(name), self.status(name, now)
        return status.problem if status is not None else kept.problem if kept is not None else None

    def look(self, wanted: Mapping[str, Wanted], now: datetime) -> bool:
        """Check every configured certificate. Return whether anything has changed.

        A source that cannot be used, for example an incomplete file or a key that does not match, does not affect the
        pair in use.
        """
        before = {name: (kept.pair, kept.problem) for name, kept in self._kept.items()}
        for name in set(self._kept) - set(wanted):
            del self._kept[name]
            self._file(name).unlink(missing_ok=True)
        for name, one in wanted.items():
            kept = self._kept.get(name)
            if kept is None or kept.wanted != one:
                kept = self._kept[name] = self._begin(name, one, now)
            if isinstance(one, LeafCertificate):
                self._renew(name, kept, one, now)
            else:
                self._look_at_source(name, kept, one, now)
        return before != {name: (kept.pair, kept.problem) for name, kept in self._kept.items()}

    def _begin(self, name: str, wanted: Wanted, now: datetime) -> _Kept:
        """Return the stored copy of a certificate that this process or an earlier one used."""
        kept = _Kept(wanted)
        try:
            document = json_value(self._file(name).read_bytes())
            if document["wanted"] == _described(wanted):
                pair = Pair(document["certificate"], document["key"], _hosts(wanted))
                kept.status = checked(pair.certificate, pair.key, None, now)
                kept.pair = pair
        except (OSError, ValueError, LookupError, TypeError, CertificateError):
            pass  # there is none, or it is not usable: it is created or read again
        return kept

    def read(self, own: Own, now: datetime) -> Pair:
        """Return a certificate of a user with its key.

        Raises:
            CertificateError: when they cannot be read, do not match, or are not valid for the host.

        """
        if isinstance(own, CertificateFiles):
            return read_pair(own, now)
        certificate, key = self._secrets(own.name)
        checked(certificate, key, own.host, now)
        return Pair(certificate, key, _hosts(own))

    def _look_at_source(self, name: str, kept: _Kept, own: Own, now: datetime) -> None:
        seen = self._state_of(own)
        if seen == kept.seen:
            return
        kept.seen = seen
        try:
            self._use(name, kept, self.read(own, now), now)
        except CertificateError as error:
            self._refuse(name, kept, error)

    def _state_of(self, own: Own) -> object:
        """Return a value that changes when the source of a certificate does."""
        if isinstance(own, CertificateFiles):
            return [_stamp(Path(path)) for path in (own.certificate_file, own.key_file)]
        try:
            return self._secrets(own.name)
        except CertificateError as error:
            return error.message

    def _renew(self, name: str, kept: _Kept, leaf: LeafCertificate, now: datetime) -> None:
        if kept.status is not None and kept.status.not_after - now > WARNED_BEFORE:
            return
        try:
            self._use(name, kept, self._authority.issue(leaf.hosts, now), now)
        except CertificateError as error:
            self._refuse(name, kept, error)

    def _use(self, name: str, kept: _Kept, pair: Pair, now: datetime) -> None:
        kept.status = checked(pair.certificate, pair.key, None, now)
        kept.pair, kept.problem = pair, None
        document = {"wanted": _described(kept.wanted), "certificate": pair.certificate, "key": pair.key}
        write_private(self._file(name), json.dumps(document))
        log.info("certificate in use for %s: expires %s", ", ".join(kept.status.names), kept.status.not_after)

    def _refuse(self, name: str, kept: _Kept, error: CertificateError) -> None:
        still = "the earlier one stays in use" if kept.pair is not None else "there is none to use"
        problem = Problem(code=error.code, message=f"{error.message} A new certificate is not used; {still}.")
        if kept.problem != problem:
            log.warning("certificate %s: %s", name or "of the router", problem.message)
        kept.problem = problem

    def _file(self, name: str) -> Path:
        return self._directory / (f"endpoint-{name}.json" if name else "router.json")


def read_pair(files: CertificateFiles, now: datetime) -> Pair:
    """Return a certificate with its key from its files.

    Raises:
        CertificateError: when they cannot be read, do not match, or are not valid for the host.

    """
    texts = []
    for path in (files.certificate_file, files.key_file):
        try:
            texts.append(Path(path).read_bytes().decode("ascii"))
        except OSError as error:
            raise CertificateError(f"{path!r} cannot be read: {error.strerror}.") from None
        except UnicodeDecodeError:
            raise CertificateError(f"{path!r} is not a PEM file: PEM is text.") from None
    pair = Pair(texts[0], texts[1], _hosts(files))
    checked(pair.certificate, pair.key, files.host, now)
    return pair


def _hosts(wanted: Wanted) -> tuple[str, ...]:
    """Return the hosts that requests may be for."""
    return wanted.hosts if isinstance(wanted, LeafCertificate) else (wanted.host,)


def _described(wanted: Wanted) -> object:
    return list(wanted.hosts) if isinstance(wanted, LeafCertificate) else wanted.document()


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
