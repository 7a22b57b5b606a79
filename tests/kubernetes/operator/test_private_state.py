"""The operator's private files on a real API server."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import pytest

from mljupyter.controller.layout import Layout, private_directory
from mljupyter.controller.storage.store import Store
from mljupyter.controller.tls.private_files import write_private
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.operator.private_state import PrivateState
from tests.kubernetes.cluster import own_namespace
from tests.testbed import needed
from tests.waiting import HANG_SECONDS

pytestmark = pytest.mark.system


async def test_private_files_are_stored_again_when_somebody_deletes_or_damages_their_secret(tmp_path: Path) -> None:
    layout = Layout.of(tmp_path)
    private_directory(layout.control, "")
    write_private(layout.replica_key, "the key")
    async with own_namespace(Path(needed("TESTBED_KUBECONFIG"))) as cluster:
        path = f"{names.secrets(cluster.namespace)}/{names.KEYS_SECRET}"
        private = PrivateState(cluster.api, cluster.namespace, layout)
        running = asyncio.create_task(private.run())
        await private.settle()
        before = await cluster.api.get(path)
        await cluster.api.delete(path)
        selected = {"fields": f"metadata.name={names.KEYS_SECRET}"}
        async with asyncio.timeout(HANG_SECONDS):
            while not (found := (await cluster.api.list(names.secrets(cluster.namespace), **selected))[0]):
                await asyncio.sleep(0.05)
        assert found[0]["data"] == before["data"]
        await cluster.api.patch(path, {"data": {layout.replica_key.name: "////"}}, kind="merge")
        async with asyncio.timeout(HANG_SECONDS):
            while (await cluster.api.get(path))["data"] != before["data"]:
                await asyncio.sleep(0.05)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_what_cannot_be_read_in_the_secret_is_left_out(tmp_path: Path) -> None:
    layout = Layout.of(tmp_path / "workspace")
    private_directory(layout.control, "")
    values = {
        layout.replica_key.name: b"the key",
        "no-text": b"\xff\xfe",
        "settings.json": b"[1]",
    }
    async with own_namespace(Path(needed("TESTBED_KUBECONFIG"))) as cluster:
        data = {name: base64.b64encode(value).decode() for name, value in values.items()}
        await cluster.api.create(
            names.secrets(cluster.namespace), {"metadata": {"name": names.KEYS_SECRET}, "data": data}
        )
        private = PrivateState(cluster.api, cluster.namespace, layout)
        await private.restore()
        private.restore_settings(Store(tmp_path / "endpoints.db"))
    assert layout.replica_key.read_text() == "the key"
    assert not (layout.control / "no-text").exists()
