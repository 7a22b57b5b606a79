"""The operator's private files on a real API server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mljupyter.controller.layout import Layout, private_directory
from mljupyter.controller.tls.private_files import write_private
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.operator.private_state import PrivateState
from tests.kubernetes.cluster import own_namespace
from tests.testbed import needed
from tests.waiting import HANG_SECONDS

pytestmark = pytest.mark.system


async def test_private_files_are_stored_again_when_somebody_deletes_their_secret(tmp_path: Path) -> None:
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
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
