"""Attacks on the doors of an installation: what comes in as a number, a document, a text, and what goes out as text."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from urllib.parse import quote

import pytest

from mljupyter.controller.layout import Layout
from mljupyter.controller.socket_http import Answer, ask
from tests.system.conftest import Machine, machine, machines  # noqa: F401 - fixtures
from tests.waiting import wait_until

DEEP = b"[" * 200_000
NUMBERS = ("nan", "inf", "-inf", "1e999", "-1e9", "9" * 5000, "", "x", "0x10", "true")
ENDED = 15.0


def raw(layout: Layout, head: str, body: bytes = b"") -> bytes:
    """Send a request to the controller as it stands, and return all of the answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(20)
        client.connect(str(layout.socket()))
        client.sendall(
            f"{head} HTTP/1.1\r\nhost: controller\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        )
        try:
            client.sendall(body)
        except OSError:  # refused before all of it was sent
            pass
        found = b""
        while piece := client.recv(65536):
            found += piece
        return found


@pytest.mark.system
def test_no_number_and_no_document_in_a_request_makes_the_controller_fail_or_keeps_it_from_ending(
    machine: Machine,  # noqa: F811
) -> None:
    machine.healthy(machine.spec("doors"))
    layout = Layout.of(machine.directory)

    def get(target: str) -> Answer:
        return ask(layout.socket(), "GET", target, None, 20)

    base = "/v1/endpoints/doors"
    for target in (
        f"{base}?timeout=",
        f"{base}?after=",
        f"{base}/logs?lines=",
        f"{base}/logs/follow?lines=",
        f"{base}/logs/follow?timeout=",
        f"{base}/records?count=",
        f"{base}/scaling?most=",
        f"{base}/metrics?since=",
        f"{base}/metrics?every=",
        f"{base}/metrics?after=",
    ):
        for number in NUMBERS:
            answer = get(target + quote(number))
            assert answer.status == 400, (target, number[:20], answer)
            document = answer.json()
            assert document["code"] == "InvalidSpec" and "it must be" in document["message"], (target, document)
            assert len(document["message"]) < 300

    for head in (
        "POST /v1/endpoints",
        f"PUT {base}",
        f"POST {base}/keys/primary",
        f"POST {base}/rollout",
        f"POST {base}/promote",
        f"POST {base}/rollback",
        f"POST {base}/token",
        "PUT /v1/router",
        "POST /v1/router/token-keys",
        "PUT /v1/metrics",
    ):
        for body in (DEEP, DEEP[:900], b'{"a":' * 50_000, b"\xff\xfe", b"[]", b"NaN"):
            answer = raw(layout, head, body)
            assert answer.startswith(b"HTTP/1.1 4"), (head, body[:20], answer[:200])
        assert raw(layout, head, b" " * (9 << 20)).startswith(b"HTTP/1.1 413"), head
    for member in ('{"generation": true, "spec": {}}', '{"generation": 1e400, "spec": {}}', '{"generation": NaN}'):
        assert raw(layout, f"PUT {base}", member.encode()).startswith(b"HTTP/1.1 400"), member
    for member in ('{"number": -1}', '{"number": 1.5}', '{"number": 99999999999999999999}'):
        assert raw(layout, f"POST {base}/rollback", member.encode()).startswith(b"HTTP/1.1 400"), member
    for member in ('{"key": ["a"]}', '{"key": {"a": 1}}', '{"key": 12345678}'):
        assert raw(layout, f"POST {base}/keys/primary", member.encode()).startswith(b"HTTP/1.1 400"), member
    get("/v1/endpoints/x%0A2026-01-01T00:00:00Z%20I%20forged%1B%5B31m")

    log = layout.log.read_text()
    assert "Traceback" not in log and "failed" not in log
    assert not any(line.startswith("2026-01-01") for line in log.split("\n")) and "\x1b" not in log

    # A client that waits for a change, one that follows the log, and one that went away in the middle of a request.
    held = []
    for target in (f"{base}?timeout=60&after=99999999", f"{base}?timeout=nan&after=99999999", "/v1/endpoints"):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.connect(str(layout.socket()))
        client.sendall(f"GET {target} HTTP/1.1\r\nhost: controller\r\n".encode())
        held.append(client)
    for client in held[:2]:
        client.sendall(b"\r\n")
    assert machine.client.stop()
    wait_until(lambda: not machine.controllers(), ENDED, "the controller ends")
    for client in held:
        client.close()
