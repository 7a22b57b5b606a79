"""The controller's interface, when modes no longer keep other users out."""

from __future__ import annotations

import encodings.idna  # noqa: F401 - imported here, since another user cannot import from this one's home
import socket
from pathlib import Path

import pytest

from mljupyter.controller.layout import Layout
from mljupyter.scoring import peers
from tests.security.users import ATTACKER, needs_root, run_as
from tests.system.conftest import Machine, machine, machines
from tests.waiting import HANG_SECONDS

__all__ = ["machine", "machines"]


def ask(path: Path) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(HANG_SECONDS)
        client.connect(str(path))
        try:
            client.sendall(b"GET /v1/status HTTP/1.1\r\nhost: controller\r\nconnection: close\r\n\r\n")
            return client.recv(100_000)
        except (BrokenPipeError, ConnectionResetError):
            return b""


@needs_root
@pytest.mark.system
def test_another_user_operates_nothing_although_socket_and_directory_are_open_to_all(machine: Machine) -> None:
    machine.client.ensure()
    path = Layout.of(machine.directory).socket()
    path.chmod(0o666)
    path.parent.chmod(0o755)
    assert b"200 OK" in ask(path)

    def attack() -> None:
        assert ask(path) == b""

    run_as(ATTACKER, attack)
    assert f"a connection of user {ATTACKER} was closed" in Layout.of(machine.directory).log.read_text()


def test_the_same_user_and_root_may_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getuid", lambda: 501)
    assert [user for user in (0, 501, 502) if peers.may_command(user)] == [0, 501]
