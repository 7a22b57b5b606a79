"""An informer has a true copy of the API server's objects, whatever happens to its connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from mljupyter.kubernetes.api_server.connection import ApiError, ApiServer, ApiUnreachableError, Object
from mljupyter.kubernetes.api_server.informer import Informer, without_managers
from mljupyter.kubernetes.api_server.namespaces import NamespaceInformers
from tests.kubernetes.list_watch_server import PATH, ListWatchServer, served
from tests.ports import free_port
from tests.waiting import HANG_SECONDS


@pytest.fixture
def server() -> ListWatchServer:
    found = ListWatchServer()
    found.put("a")
    return found


@pytest.fixture
async def api(server: ListWatchServer, tmp_path: Path) -> AsyncIterator[ApiServer]:
    async with served(server, tmp_path) as kubeconfig:
        found = await ApiServer.connect(kubeconfig)
        yield found
        await found.close()


class Followed:
    """An informer that runs, with the changes that it reported."""

    def __init__(self, api: ApiServer) -> None:
        self.changes: list[tuple[str, str]] = []
        self.informer = Informer(
            api, PATH, labels="x=y", changed=lambda kind, item: self.changes.append((kind, item["metadata"]["name"]))
        )


@pytest.fixture
async def followed(api: ApiServer, server: ListWatchServer) -> AsyncIterator[Followed]:
    found = Followed(api)
    task = asyncio.create_task(found.informer.run())
    await until(lambda: server.watches > 0)
    yield found
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(HANG_SECONDS):
        while not condition():
            await asyncio.sleep(0.005)


async def test_it_reports_what_a_list_and_events_show(server: ListWatchServer, followed: Followed) -> None:
    server.put("b")
    server.put("a")
    server.remove("b")
    await until(lambda: len(followed.changes) == 4)
    assert followed.changes == [("ADDED", "a"), ("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "b")]
    assert set(followed.informer.objects) == {"a"}
    assert all(query["labelSelector"] == "x=y" for query in server.queries)
    assert set(server.authorizations) == {"Bearer the-token"}


async def test_a_broken_stream_continues_from_the_last_version_without_a_new_list(
    server: ListWatchServer, followed: Followed
) -> None:
    server.put("b")
    await until(lambda: "b" in followed.informer.objects)
    version = followed.informer.objects["b"]["metadata"]["resourceVersion"]
    server.break_streams()
    await until(lambda: server.watches == 2)
    assert (server.lists, server.versions[-1]) == (1, version)


async def test_a_bookmark_moves_the_version_to_continue_from(server: ListWatchServer, followed: Followed) -> None:
    server.bookmark()
    server.put("b")
    await until(lambda: "b" in followed.informer.objects)
    server.bookmark()
    server.break_streams()
    await until(lambda: server.watches == 2)
    assert server.versions[-1] == str(int(followed.informer.objects["b"]["metadata"]["resourceVersion"]) + 10)
    assert followed.changes == [("ADDED", "a"), ("ADDED", "b")]


async def test_after_an_expired_version_a_new_list_shows_what_was_missed(
    server: ListWatchServer, followed: Followed
) -> None:
    server.put("b")
    server.put("c")
    await until(lambda: "c" in followed.informer.objects)
    followed.changes.clear()
    server.put("a", silent=True)
    server.put("b", uid="2", silent=True)
    server.remove("c", silent=True)
    server.put("d", silent=True)
    server.expire()
    await until(lambda: len(followed.changes) == 5)
    assert sorted(followed.changes) == [
        ("ADDED", "b"),
        ("ADDED", "d"),
        ("DELETED", "b"),
        ("DELETED", "c"),
        ("MODIFIED", "a"),
    ]
    assert set(followed.informer.objects) == {"a", "b", "d"}
    assert followed.informer.unreachable_since is None


async def test_a_new_list_after_a_refused_watch_of_an_old_version(server: ListWatchServer, followed: Followed) -> None:
    server.failures = [410]
    server.break_streams()
    await until(lambda: server.lists == 2 and server.watches == 2)


async def test_it_keeps_its_copy_while_the_api_server_fails_and_goes_on_after_that(
    server: ListWatchServer, followed: Followed
) -> None:
    server.failures = [500, 503, 429]
    server.break_streams()
    await until(lambda: followed.informer.unreachable_since is not None)
    assert set(followed.informer.objects) == {"a"}
    assert followed.informer.problem
    await until(lambda: followed.informer.unreachable_since is None)
    server.put("b")
    await until(lambda: "b" in followed.informer.objects)
    assert server.lists == 1


async def test_it_is_not_synced_before_its_first_list(server: ListWatchServer, api: ApiServer) -> None:
    server.failures = [500] * 3
    found = Followed(api)
    task = asyncio.create_task(found.informer.run())
    await until(lambda: len(server.failures) < 2)
    assert not found.informer.synced.is_set()
    await until(found.informer.synced.is_set)
    assert set(found.informer.objects) == {"a"}
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_long_list_is_read_in_pages(server: ListWatchServer, api: ApiServer) -> None:
    for number in range(7):
        server.put(f"pod-{number}")
    server.page = 3
    found, version = await api.list(PATH)
    assert [item["metadata"]["name"] for item in found] == ["a", *(f"pod-{number}" for number in range(7))]
    assert version == "108"


async def test_a_refusal_has_status_reason_and_message(server: ListWatchServer, api: ApiServer) -> None:
    server.failures = [409]
    with pytest.raises(ApiError, match=r"refused GET .* \(409\): not now") as caught:
        await api.get(f"{PATH}/a")
    assert (caught.value.status, caught.value.reason) == (409, "Because")


async def test_deleting_what_is_not_there_is_no_error(server: ListWatchServer, api: ApiServer) -> None:
    server.failures = [404]
    await api.delete(f"{PATH}/a")


async def test_an_api_server_that_is_away_is_an_error_of_its_own(server: ListWatchServer, tmp_path: Path) -> None:
    async with served(server, tmp_path) as kubeconfig:
        port = kubeconfig.read_text().partition("127.0.0.1:")[2].split()[0]
        kubeconfig.write_text(kubeconfig.read_text().replace(f":{port}", f":{free_port()}"))
        api = await ApiServer.connect(kubeconfig)
        with pytest.raises(ApiUnreachableError, match="the API server does not answer GET"):
            await api.get(PATH)
        await api.close()


async def test_credentials_that_cannot_be_read_are_explained(tmp_path: Path) -> None:
    with pytest.raises(ApiError, match="nothing cannot be used"):
        await ApiServer.connect(tmp_path / "nothing")
    with pytest.raises(ApiError, match="this pod has no credentials"):
        await ApiServer.connect()


async def test_it_keeps_and_reports_the_part_that_it_is_asked_to_keep(server: ListWatchServer, api: ApiServer) -> None:
    seen: list[Object] = []
    informer = Informer(
        api,
        PATH,
        changed=lambda kind, item: seen.append(item),
        keep=lambda item: {"metadata": without_managers(item)["metadata"]},
    )
    task = asyncio.create_task(informer.run())
    await until(lambda: server.watches > 0)
    server.put("b")
    server.remove("b")
    await until(lambda: len(seen) == 3)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert [list(item) for item in (*seen, *informer.objects.values())] == [["metadata"]] * 4
    assert not any("managedFields" in item["metadata"] for item in seen)


async def test_a_namespace_that_cannot_be_read_does_not_hold_up_the_others(
    server: ListWatchServer, api: ApiServer
) -> None:
    server.forbidden.add("/api/v1/namespaces/gone/pods")
    found = NamespaceInformers(
        api,
        lambda namespace: f"/api/v1/namespaces/{namespace}/pods",
        {"tests": "", "gone": ""},
        changed=lambda kind, item: None,
    )
    task = asyncio.create_task(found.run())
    async with asyncio.timeout(HANG_SECONDS):
        await found.known()
    assert [(namespace, item["metadata"]["name"]) for namespace, item in found.all()] == [("tests", "a")]
    assert found.find("tests", "a") is not None
    assert found.find("gone", "a") is found.find("unknown", "a") is None
    assert found.is_known("tests") and not found.is_known("gone") and not found.is_known("unknown")
    assert found.problem is None  # the API server answers
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
