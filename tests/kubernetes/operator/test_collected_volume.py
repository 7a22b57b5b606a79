"""The operator says why collected data cannot be read now."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mljupyter.client.errors import CollectedDataError
from mljupyter.kubernetes.objects import names
from mljupyter.kubernetes.objects.installation import Installation, Reader, installation
from mljupyter.kubernetes.operator.collected_volume import CollectedVolume
from tests.kubernetes.cluster import Cluster, own_namespace
from tests.testbed import needed
from tests.waiting import HANG_SECONDS

pytestmark = pytest.mark.system


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    async with own_namespace(Path(needed("TESTBED_KUBECONFIG"))) as found:
        yield found


async def problem(cluster: Cluster, claim: str | None) -> str:
    volume = CollectedVolume(cluster.api, cluster.namespace, "team", claim, "secret")
    with pytest.raises(CollectedDataError) as error:
        await volume.files("iris", "", 10)
    return error.value.message


async def test_without_a_claim_the_way_to_keep_data_is_told(cluster: Cluster) -> None:
    said = await problem(cluster, None)
    assert "ends with its pod" in said
    assert "--collected-data-claim NAME" in said


async def test_a_reader_that_cannot_start_is_told_with_the_cause(cluster: Cluster) -> None:
    assert "there is none: kubectl describe deployment mljupyter-collected" in await problem(cluster, "missing")
    wanted = Installation("testbed/pause:3", "team", "demo", cluster.namespace, reader=Reader("missing"))
    objects = {(one["kind"], one["metadata"]["name"]): one for one in installation(wanted)}
    for kind, name in (("ServiceAccount", names.REPLICA), ("Deployment", names.READER)):
        manifest = objects[kind, name]
        await cluster.api.create(names.collection_path(manifest), manifest)
    async with asyncio.timeout(HANG_SECONDS):
        while 'persistentvolumeclaim "missing" not found' not in (said := await problem(cluster, "missing")):
            await asyncio.sleep(0.05)
    assert said.startswith("the collected data in claim 'missing' of compute target 'team' cannot be read now.")
    assert said.endswith("mljupyter computetarget check team")
