"""The user at the other end of a socket is known before a byte is sent."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

import pytest

from mljupyter.scoring import peers


def test_a_process_of_this_user_is_known_as_such(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        client.connect(str(tmp_path / "s"))
        assert peers.user_of(client) == os.getuid()
        peers.check(client)


def test_a_process_of_another_user_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "user_of", lambda connection: os.getuid() + 1)
    with pytest.raises(peers.ForeignPeerError, match=f"user {os.getuid() + 1} listens there"):
        peers.check(socket.socket(socket.AF_UNIX))


def test_macos_answers_with_a_version_a_user_and_groups() -> None:
    answer = struct.pack("=IIh2x16I", 0, 501, 2, 20, 12, *[0] * 14)
    assert len(answer) == 76  # sizeof(struct xucred)
    assert peers.user_of_xucred(answer) == 501


@pytest.mark.parametrize("answer", [b"", b"\0" * 7, struct.pack("=IIh2x16I", 1, 501, 0, *[0] * 16)])
def test_an_answer_of_another_form_is_no_proof(answer: bytes) -> None:
    with pytest.raises(OSError, match="LOCAL_PEERCRED"):
        peers.user_of_xucred(answer)
