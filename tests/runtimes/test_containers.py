"""What containers of replicas are started with, and the network they are in: decided without an engine."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

docker_errors = pytest.importorskip("docker.errors", reason="needs the Docker SDK: pip install 'mljupyter[docker]'")

from mljupyter.runtimes.base import ReplicaOrder, RunningReplica, RuntimeUnavailableError  # noqa: E402
from mljupyter.runtimes.docker import network  # noqa: E402
from mljupyter.runtimes.docker.container_spec import environment_of, key_of, limit_options  # noqa: E402
from mljupyter.spec import Resources, VersionSpec  # noqa: E402

GIB = 1 << 30
SEPARATES = {"com.docker.network.bridge.enable_icc": "false"}


def limited(machine_gib: int, **resources: float) -> dict[str, Any]:
    return limit_options(VersionSpec(image="i", resources=Resources(**resources)), machine_gib * GIB)


def test_without_a_limit_a_replica_leaves_the_machine_a_part_of_its_memory() -> None:
    assert limited(16) == {"mem_limit": 12 * GIB, "memswap_limit": 12 * GIB}
    assert limited(16, memory_in_gb=14)["mem_limit"] == 14 * GIB, "what it asks for it gets"


def test_limits_that_are_given_hold() -> None:
    given = limited(16, cpu=0.5, cpu_limit=2, memory_in_gb=0.5, memory_in_gb_limit=1)
    assert given == {"mem_limit": GIB, "memswap_limit": GIB, "nano_cpus": 2_000_000_000}


def test_a_container_gets_the_key_of_the_control_plane_whatever_the_version_says() -> None:
    spec = VersionSpec(image="i", environment_variables={"MLJUPYTER_REPLICA_KEY": "of the user", "OTHER": "1"})
    order = ReplicaOrder("iris-1", "iris", "iris", "0", "docker", "workspace", spec)
    assert environment_of(order, "k" * 64).items() >= {"MLJUPYTER_REPLICA_KEY": "k" * 64, "OTHER": "1"}.items()
    assert key_of({"Config": {"Env": ["PATH=/bin", f"MLJUPYTER_REPLICA_KEY={'k' * 64}"]}}) == "k" * 64
    assert key_of({"Config": {"Env": None}}) is None


def test_a_replicas_key_is_sent_and_not_shown() -> None:
    replica = RunningReplica("iris-1", "iris", "iris", "0", "docker", "127.0.0.1:1", None, 0.0, key="k" * 64)
    assert replica.headers == {"x-mlj-replica-key": "k" * 64}
    assert "kkkk" not in repr(replica)
    assert RunningReplica("iris-1", "iris", "iris", "0", "local", "unix:/s", 1, 0.0).headers == {}


class Networks:
    """An engine's networks of one name, by id, the oldest one first.

    Parameters:
        endings: of each `create` in turn: a refusal, or the ids of the networks that there are afterwards.
        there: the attributes of a network that there is already.

    """

    def __init__(self, *endings: str | list[str], there: dict[str, Any] | None = None) -> None:
        self.there = {"there": there} if there else {}
        self.used: set[str] = set()
        self.made = 0
        self._endings = list(endings)

    def list(self, names: list[str]) -> list[Any]:
        others = [SimpleNamespace(id="other", name=f"my-{names[0]}", attrs={"Driver": "bridge", "Options": {}})]
        return others + [self._network(name, network_id) for name in names for network_id in self.there]

    def create(self, name: str, **options: Any) -> Any:
        self.made += 1
        ending = self._endings.pop(0) if self._endings else ["own"]
        if isinstance(ending, str):
            raise refused(ending)
        if not ending:
            raise refused("another controller has removed it at once", 404)
        made = {"Driver": options["driver"], "Options": options["options"], "Labels": options["labels"]}
        self.there = {network_id: {**made, "Created": str(number)} for number, network_id in enumerate(ending)}
        if "own" not in ending:
            raise refused("it exists", 409)
        return self._network(name, "own")

    def _network(self, name: str, network_id: str) -> Any:
        def remove() -> None:
            if network_id in self.used:
                raise refused("it has active endpoints", 403)
            del self.there[network_id]

        return SimpleNamespace(id=network_id, name=name, attrs=self.there[network_id], remove=remove)


def refused(text: str, status: int = 500) -> Exception:
    return docker_errors.APIError(text, SimpleNamespace(status_code=status, reason=""), text)


def ensured(networks: Networks) -> str:
    return network.ensure(SimpleNamespace(networks=networks))  # type: ignore[arg-type]


def test_the_network_is_made_once() -> None:
    networks = Networks()
    assert (ensured(networks), ensured(networks), networks.made) == (network.NAME, network.NAME, 1)
    there = Networks(there={"Driver": "bridge", "Options": SEPARATES})
    assert (ensured(there), there.made) == (network.NAME, 0)


@pytest.mark.parametrize("endings", [[["another"]], [[], ["another"]], [[], [], ["another"]]])
def test_a_network_that_another_controller_makes_meanwhile_is_taken(endings: list[list[str]]) -> None:
    networks = Networks(*endings)
    ensured(networks)
    assert list(networks.there) == ["another"]


@pytest.mark.parametrize("ids", [["own", "another"], ["another", "own"], ["another", "own", "a third"]])
def test_controllers_that_make_networks_at_the_same_time_agree_on_the_oldest_one(ids: list[str]) -> None:
    networks = Networks(ids)
    ensured(networks)
    assert list(networks.there) == ids[:1]


def test_of_networks_that_were_made_at_the_same_time_the_one_with_containers_stays() -> None:
    networks = Networks(["own", "another"])
    networks.used = {"another"}
    ensured(networks)
    assert list(networks.there) == ["another"]


def test_all_networks_of_the_name_are_removed_when_nobody_uses_them() -> None:
    networks = Networks(there={"Driver": "bridge", "Options": SEPARATES, "Labels": {network.LABEL: "replicas"}})
    networks.there["second"] = networks.there["there"]
    client = SimpleNamespace(networks=networks, api=SimpleNamespace(containers=lambda **_: []))
    assert network.remove_unused(client)  # type: ignore[arg-type]
    assert not networks.there


def test_an_engine_without_addresses_is_told_with_the_way_out() -> None:
    with pytest.raises(RuntimeUnavailableError) as raised:
        ensured(Networks("could not find an available, non-overlapping IPv4 address pool"))
    for part in ("could not find an available", "docker network prune", "--subnet SUBNET mljupyter-replicas"):
        assert part in raised.value.message
    assert len(raised.value.message.splitlines()) <= 5


@pytest.mark.parametrize(
    "there",
    [
        {"Driver": "bridge", "Options": {}},
        {"Driver": "bridge", "Options": None},
        {"Driver": "bridge", "Options": {"com.docker.network.bridge.enable_icc": "true"}},
        {"Driver": "macvlan", "Options": SEPARATES},
    ],
)
def test_a_network_in_which_containers_reach_each_other_is_refused(there: dict[str, Any]) -> None:
    with pytest.raises(RuntimeUnavailableError, match="docker network rm mljupyter-replicas"):
        ensured(Networks(there=there))
