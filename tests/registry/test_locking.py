"""Locks of a workspace where the file system has none."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from mljupyter.controller.layout import ports_directory
from mljupyter.controller.storage.lock import ControllerLock
from mljupyter.registry.locking import NoLocksError, check_locks


@pytest.fixture(params=[errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """A directory where locks fail with an error, as on NFS without its lock service."""
    directory = tmp_path / "network"
    directory.mkdir()
    lock = fcntl.flock

    def flock(descriptor: int, kind: int) -> None:
        if Path(f"/dev/fd/{descriptor}").readlink().is_relative_to(directory):
            raise OSError(request.param, os.strerror(request.param))
        lock(descriptor, kind)

    monkeypatch.setattr(fcntl, "flock", flock)
    return directory


def test_a_file_system_without_locks_is_named_with_a_way_out(without_locks: Path) -> None:
    for refused in (lambda: check_locks(without_locks), lambda: ControllerLock(without_locks / "lock").__enter__()):
        with pytest.raises(NoLocksError, match=r"(?s)'.*/network.*without locks.*NFS.*MLJUPYTER_HOME"):
            refused()


def test_ports_are_not_reserved_in_a_home_without_locks(
    without_locks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(without_locks))
    monkeypatch.setenv("MLJUPYTER_RUNTIME_DIR", str(tmp_path))
    assert ports_directory(tmp_path / "control") == tmp_path / ".mljupyter" / "ports"
