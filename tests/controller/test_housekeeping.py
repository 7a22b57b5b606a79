from __future__ import annotations

import asyncio
import contextlib
import os
import time
from pathlib import Path

import pytest

from mljupyter.controller.housekeeping import Housekeeping
from mljupyter.controller.layout import Layout
from mljupyter.controller.storage.store import Store
from mljupyter.core import Workspace

LONG_AGO = time.time() - 90 * 86_400


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("MLJUPYTER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    return Workspace.create("kept-tidy")


async def test_garbage_is_collected_when_it_is_time_and_the_time_is_remembered(
    workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "orphan.txt").write_text("orphan")
    orphan = workspace.artifacts.put(tmp_path / "orphan.txt").digest
    for path in (workspace.directory / "artifacts" / "blobs").rglob("*"):
        os.utime(path, (LONG_AGO, LONG_AGO))
    layout = Layout.of(workspace.directory)
    layout.prepare()
    with contextlib.closing(Store(layout.database)) as store:
        began = time.time()
        daily = asyncio.create_task(Housekeeping(layout, store).run())
        often = asyncio.create_task(Housekeeping(layout, store, every_seconds=0.1).run())
        async with asyncio.timeout(300):  # it runs at the lowest priority
            while workspace.artifacts.exists(orphan):
                await asyncio.sleep(0.05)
        assert not daily.done()
        assert float(store.setting("garbageCollectedTime")) > began
        for task in (daily, often):
            task.cancel()
        await asyncio.gather(daily, often, return_exceptions=True)
