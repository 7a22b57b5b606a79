"""The files of the router are written in an order in which no route leads to a cluster that is not there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from mljupyter.client.errors import ControllerError
from mljupyter.controller.router.files import FileWriter
from mljupyter.controller.router.local_http import LocalHttp
from mljupyter.controller.router.resource_files import RouterFiles, RouterFilesBuilder, RouterSettings, router_files
from mljupyter.engine.envoy.listener import Listening
from mljupyter.engine.envoy.routing import EndpointRoute, VersionRoute
from mljupyter.spec import RateLimit, RequestLimits
from tests.fakes.clock import on_fake_clock
from tests.fakes.envoy import FakeEnvoy


def version(name: str, *addresses: str, weight: int = 100) -> VersionRoute:
    return VersionRoute(name, weight, addresses, RequestLimits())


def endpoint(name: str, *versions: VersionRoute, port: int | None = None) -> EndpointRoute:
    return EndpointRoute(name, versions, versions[0].name, None, port=port)


IRIS = endpoint("iris", version("iris", "unix:/1.sock"))
IRIS_CHANGED = endpoint("iris", version("iris", "unix:/1.sock", weight=70), version("b", "unix:/2.sock", weight=30))
WINE = endpoint("wine", version("wine", "unix:/3.sock"))
LOCAL = endpoint("wine", version("wine", "unix:/3.sock"), port=7000)


def files(place: Path, *endpoints: EndpointRoute) -> RouterFiles:
    return router_files(RouterSettings(place, place / "admin.sock", 8600), endpoints)


def writer_of(place: Path, envoy: FakeEnvoy) -> FileWriter:
    return FileWriter(place, cast("LocalHttp", envoy))


@pytest.fixture
def envoy(tmp_path: Path) -> FakeEnvoy:
    return FakeEnvoy(tmp_path)


@pytest.fixture
def writer(tmp_path: Path, envoy: FakeEnvoy) -> FileWriter:
    """A writer whose router has no endpoints yet."""
    writer = writer_of(tmp_path, envoy)
    writer.write_all(files(tmp_path))
    return writer


def written(place: Path) -> dict[str, str]:
    """Return the version of each file on disk."""
    return {path.name: json.loads(path.read_bytes())["version_info"] for path in place.glob("*.json")}


@pytest.mark.parametrize(
    "states",
    [
        [(IRIS,), (IRIS_CHANGED,), (IRIS,), ()],
        [(IRIS, WINE), (IRIS_CHANGED,), (WINE,)],
        [(IRIS,), (IRIS, LOCAL), (IRIS_CHANGED, LOCAL), (LOCAL,)],
        [(endpoint("iris", version("a", "unix:/1.sock")),), (endpoint("iris", version("b", "unix:/2.sock")),)],
    ],
)
@on_fake_clock
async def test_at_no_moment_a_route_leads_to_a_cluster_that_is_not_there(
    tmp_path: Path, envoy: FakeEnvoy, writer: FileWriter, states: list[tuple[EndpointRoute, ...]]
) -> None:
    def look() -> None:
        for name in ("iris", "wine"):
            assert envoy.routed(name) <= envoy.clusters()

    envoy.looks.append(look)
    for state in states:
        await writer.apply(files(tmp_path, *state))
        assert written(tmp_path) == {name: files(tmp_path, *state).version(name) for name in written(tmp_path)}
        assert set(written(tmp_path)) == set(files(tmp_path, *state).documents)
        for route in state:
            assert envoy.routed(route.name) == {f"{route.name}.{item.name}" for item in route.versions}


@on_fake_clock
async def test_the_clusters_of_the_state_before_stay_until_no_route_leads_to_them(
    tmp_path: Path, envoy: FakeEnvoy, writer: FileWriter
) -> None:
    await writer.apply(files(tmp_path, IRIS_CHANGED))
    envoy.followed.clear()
    await writer.apply(files(tmp_path, IRIS))
    assert envoy.followed == ["rds-router.json", "cds.json"]
    assert envoy.clusters() == {"iris.iris", "no-grpc"}


@on_fake_clock
async def test_the_list_of_clusters_is_written_once_when_no_cluster_goes(
    tmp_path: Path, writer: FileWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, names = writer.put, []

    def counted(name: str, document: dict[str, Any]) -> None:
        names.append(name)
        put(name, document)

    monkeypatch.setattr(writer, "put", counted)
    await writer.apply(files(tmp_path, IRIS))
    await writer.apply(files(tmp_path, IRIS, WINE))
    assert names.count("cds.json") == 2
    await writer.apply(files(tmp_path, WINE))
    assert names.count("cds.json") == 4, "with the old cluster, and without it"


@on_fake_clock
async def test_only_files_that_the_router_has_not_are_written(
    tmp_path: Path, envoy: FakeEnvoy, writer: FileWriter
) -> None:
    await writer.apply(files(tmp_path, IRIS))
    before = {path: path.stat().st_ino for path in tmp_path.glob("*.json")}
    await writer.apply(files(tmp_path, IRIS))
    assert {path: path.stat().st_ino for path in tmp_path.glob("*.json")} == before
    moved = endpoint("iris", version("iris", "unix:/1.sock", "unix:/9.sock"))
    await writer.apply(files(tmp_path, moved))
    changed = {path.name for path in before if path.stat().st_ino != before[path]}
    assert changed == {"eds-iris.iris.json"}, "another replica changes the addresses alone"


@on_fake_clock
async def test_a_file_that_the_router_refused_is_told_and_written_again_the_next_time(
    tmp_path: Path, envoy: FakeEnvoy, writer: FileWriter
) -> None:
    envoy.refuses.add("cds.json")
    with pytest.raises(ControllerError, match=r"the router refused a change of cluster_manager\.cds\.version_text"):
        await writer.apply(files(tmp_path, IRIS))
    assert envoy.routed("iris") == set(), "no route leads to what was refused"
    envoy.refuses.clear()
    await writer.apply(files(tmp_path, IRIS))
    assert envoy.routed("iris") == {"iris.iris"}


@on_fake_clock
async def test_a_router_that_follows_nothing_is_told_of_after_five_seconds(
    tmp_path: Path, envoy: FakeEnvoy, writer: FileWriter
) -> None:
    envoy.asleep = True
    with pytest.raises(ControllerError, match="the router did not follow a change of"):
        await writer.apply(files(tmp_path, IRIS))
    envoy.asleep = False
    await writer.apply(files(tmp_path, IRIS))
    assert envoy.routed("iris") == {"iris.iris"}


@on_fake_clock
async def test_a_router_that_does_not_answer_is_told_of(tmp_path: Path, envoy: FakeEnvoy, writer: FileWriter) -> None:
    envoy.away = True
    with pytest.raises(ControllerError, match="the router does not answer"):
        await writer.apply(files(tmp_path, IRIS))


@on_fake_clock
async def test_a_file_that_was_changed_by_others_is_written_again(
    tmp_path: Path, envoy: FakeEnvoy, writer: FileWriter
) -> None:
    await writer.apply(files(tmp_path, IRIS))
    envoy.asleep = True  # what it has in force stays as it is
    (tmp_path / "rds-router.json").write_bytes(b"")
    (tmp_path / "eds-iris.iris.json").unlink()
    await writer.apply(files(tmp_path, IRIS))
    assert written(tmp_path) == {name: files(tmp_path, IRIS).version(name) for name in files(tmp_path, IRIS).documents}


@on_fake_clock
async def test_a_later_controller_writes_nothing_that_is_in_force(
    tmp_path: Path, envoy: FakeEnvoy, writer: FileWriter
) -> None:
    await writer.apply(files(tmp_path, IRIS))
    before = {path: path.stat().st_ino for path in tmp_path.glob("*.json")}
    (tmp_path / ".cds.json.123").write_text("{")  # of a controller that was killed in the middle of a write
    later = writer_of(tmp_path, envoy)
    assert not later.empty
    await later.apply(files(tmp_path, IRIS))
    assert {path: path.stat().st_ino for path in tmp_path.iterdir()} == before


@on_fake_clock
async def test_another_router_is_confirmed_when_it_has_all_files_in_force(
    tmp_path: Path, envoy: FakeEnvoy, writer: FileWriter
) -> None:
    await writer.apply(files(tmp_path, IRIS))
    other = FakeEnvoy(tmp_path)
    other.asleep = True
    with pytest.raises(ControllerError, match="did not follow"):
        await writer.confirm(cast("LocalHttp", other))
    other.asleep = False
    await writer.confirm(cast("LocalHttp", other))


async def test_a_moved_replica_is_the_work_for_one_endpoint_and_one_file(tmp_path: Path) -> None:
    builder = RouterFilesBuilder(RouterSettings(tmp_path, tmp_path / "admin.sock", 8600))
    endpoints = [endpoint(f"e{number}", version("a", "unix:/1.sock")) for number in range(50)]
    before = builder.files(endpoints, Listening())
    endpoints[7] = endpoint("e7", version("a", "unix:/1.sock", "unix:/2.sock"))
    after = builder.files(endpoints, Listening())
    changed = {name for name, document in after.documents.items() if document is not before.documents.get(name)}
    assert changed == {"eds-e7.a.json"}
    assert (builder.endpoints_built, builder.tables_built) == (51, 1)


@pytest.mark.parametrize(
    "after",
    [
        (IRIS_CHANGED, WINE),
        (IRIS,),
        (IRIS, WINE, endpoint("rose", version("a", "unix:/4.sock"))),
        (replace(IRIS, keys=("key",)), WINE),
        (replace(IRIS, rate_limit=RateLimit(requests_per_second=5)), WINE),
        (endpoint("iris", replace(version("iris"), wake_wait_ms=1000, waiting=True)), WINE),
        (IRIS, LOCAL),
    ],
)
def test_what_is_built_again_is_what_is_built_at_once(tmp_path: Path, after: tuple[EndpointRoute, ...]) -> None:
    builder = RouterFilesBuilder(RouterSettings(tmp_path, tmp_path / "admin.sock", 8600))
    builder.files((IRIS, WINE), Listening())
    assert builder.files(after, Listening()).documents == files(tmp_path, *after).documents


@on_fake_clock
async def test_files_that_were_in_force_and_stay_are_not_looked_at(
    tmp_path: Path, envoy: FakeEnvoy, writer: FileWriter
) -> None:
    builder = RouterFilesBuilder(RouterSettings(tmp_path, tmp_path / "admin.sock", 8600))
    await writer.apply(builder.files((IRIS, WINE), Listening()))
    envoy.away = True
    await writer.apply(builder.files((IRIS, WINE), Listening()))
    moved = endpoint("iris", version("iris", "unix:/1.sock", "unix:/9.sock"))
    with pytest.raises(ControllerError, match="the router does not answer"):
        await writer.apply(builder.files((moved, WINE), Listening()))
    envoy.away = False
    (tmp_path / "eds-wine.wine.json").unlink()
    await writer.apply(builder.files((moved, WINE), Listening()))
    assert (tmp_path / "eds-wine.wine.json").exists(), "after a failure, all files are looked at"
