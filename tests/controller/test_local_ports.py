"""Ports of local web services at the start of a controller."""

from __future__ import annotations

from pathlib import Path

import pytest

from mljupyter.controller.endpoints.local_ports import replace_taken
from mljupyter.controller.storage.keys import Keys
from mljupyter.controller.storage.store import Store
from mljupyter.runtimes.ports import PortReservations
from mljupyter.spec import EndpointSpec, EndpointStatus
from tests.ports import free_port


def spec_of(name: str, port: int | None) -> EndpointSpec:
    version = {"code": {"digest": "sha256:" + "a" * 64, "entryScript": "score.py"}}
    document = {"name": name, "kind": "LOCAL", "port": port, "defaultVersion": name, "versions": {name: version}}
    return EndpointSpec.parse(document)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "controller.db")


def test_a_port_of_another_workspace_is_left_and_the_others_are_kept(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    others = PortReservations(tmp_path)
    theirs, mine, deleted = others.free_port(), free_port(), others.free_port()
    for name, port in (("taken", theirs), ("own", mine), ("deleted", deleted)):
        store.put(spec_of(name, port), EndpointStatus(), Keys("first-key", "second-key"))
    store.mark_deleting("deleted")
    ports = PortReservations(tmp_path)
    replace_taken(store, ports)
    moved = store.get("taken").spec.port
    assert moved not in (None, theirs, mine)
    assert not others.take(moved or 0)
    assert store.get("own").spec.port == mine
    assert store.get("deleted").deleting
    assert store.keys("taken") == Keys("first-key", "second-key")
    assert store.history("taken")[-1].action == "another program uses its port"
    assert f"endpoint taken: its port {theirs} is in use; it has the port {moved} now" in caplog.text
    replace_taken(store, ports)
    assert store.get("taken").spec.port == moved
