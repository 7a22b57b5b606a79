"""The listener settings of a router: certificates for its addresses, and what is refused on a cluster and elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from mljupyter.client.errors import CertificateError, InvalidSpecError
from mljupyter.controller.layout import Layout, private_directory
from mljupyter.controller.storage.store import Store
from mljupyter.controller.tls import listener_manager
from mljupyter.controller.tls.certificates import checked
from mljupyter.controller.tls.listener_manager import ListenerManager
from mljupyter.engine.envoy.listener import PublicAddress
from mljupyter.spec import (
    CertificateFiles,
    CertificateSecret,
    CodeReference,
    EndpointSpec,
    EndpointStatus,
    EndpointTls,
    RouterSpec,
    RouterTls,
    VersionSpec,
)
from tests.system.certificates import Files, pem_pair

OWN, OTHER = "our-secret", "scoring-tls"
LEAF = RouterTls(leaf_domain_label="team")


class Around:
    """The surroundings of a router, as a test changes them."""

    def __init__(self) -> None:
        self.public = PublicAddress("192.0.2.7", 443)
        self.is_published = False
        self.way = ""
        self.trusted: list[str] = []
        self.hosts: tuple[str, ...] = ("router.team.svc", "192.0.2.7")
        self.pairs: dict[str, tuple[str, str]] = {OTHER: pem_pair("scoring.example.org")}

    def way_problem(self, *, secure: bool) -> str:
        return self.way

    def pair(self, secret: str) -> tuple[str, str]:
        if secret not in self.pairs:
            raise CertificateError(f"there is no Secret {secret!r}.")
        return self.pairs[secret]

    async def store_pair(self, certificate: str, key: str, endpoint: str = "") -> str:
        name = f"tls-{endpoint}-{len(self.pairs)}" if endpoint else OWN
        self.pairs[name] = (certificate, key)
        return name

    async def forget_pair(self, secret: str) -> None:
        if secret != OTHER:
            del self.pairs[secret]

    @property
    def stored_pairs(self) -> list[str]:
        return [name for name in self.pairs if name.startswith("tls-")]


@pytest.fixture
def around() -> Around:
    return Around()


def manager(tmp_path: Path, around: Around | None, *kept: EndpointSpec) -> ListenerManager:
    layout = Layout.of(tmp_path)
    for directory in (layout.control, layout.tls):
        private_directory(directory, "")
    store = Store(layout.database)
    address = "127.0.0.1" if around is None else "0.0.0.0"
    spec = RouterSpec(address=address, allow_without_authentication=around is not None)
    store.put_setting("router", spec.json_text())
    for one in kept:
        store.put(one, EndpointStatus(), None)
    return ListenerManager(layout, store, around)


@pytest.fixture
def on_cluster(tmp_path: Path, around: Around) -> ListenerManager:
    return manager(tmp_path, around)


def with_tls(keeper: ListenerManager, tls: RouterTls | None) -> RouterSpec:
    return keeper.spec.model_copy(update={"tls": tls})


def secret(name: str = OTHER, host: str = "scoring.example.org") -> RouterTls:
    return RouterTls(secret=CertificateSecret(host=host, name=name))


def names(keeper: ListenerManager) -> list[str]:
    status = keeper.status(None)
    assert status is not None
    return status.names


def test_a_signed_certificate_is_for_the_addresses_of_the_cluster_and_follows_them(
    on_cluster: ListenerManager, around: Around
) -> None:
    on_cluster.put(with_tls(on_cluster, LEAF))
    assert names(on_cluster) == ["team.localhost", "localhost", "router.team.svc", "127.0.0.1", "::1", "192.0.2.7"]
    assert on_cluster.listening().host == "192.0.2.7"
    assert not on_cluster.look()
    around.hosts = ("router.team.svc", "lb.example")
    assert on_cluster.look()
    assert "lb.example" in names(on_cluster)


def test_a_signed_certificate_is_also_for_the_further_hosts_of_the_settings(on_cluster: ListenerManager) -> None:
    on_cluster.put(with_tls(on_cluster, LEAF).model_copy(update={"hosts": ("scoring.corp.example",)}))
    assert "scoring.corp.example" in names(on_cluster)


def test_another_public_address_is_a_change_for_the_router(on_cluster: ListenerManager, around: Around) -> None:
    around.public = PublicAddress("lb.example", 443)
    assert on_cluster.look()
    assert on_cluster.listening().public == around.public
    assert not on_cluster.look()


async def test_a_certificate_that_is_sent_is_stored_and_deleted_when_it_is_not_used_any_more(
    on_cluster: ListenerManager, around: Around
) -> None:
    pair = pem_pair("scoring.example.org")
    spec = await on_cluster.store(with_tls(on_cluster, secret("any")), *pair)
    assert spec.tls == secret(OWN)
    on_cluster.check(spec)
    on_cluster.put(spec)
    assert on_cluster.listening().pairs[""].certificate == pair[0]
    await on_cluster.forget_unused(spec)
    assert OWN in around.pairs, "it is in use"
    on_cluster.put(with_tls(on_cluster, None))
    await on_cluster.forget_unused(spec)
    assert OWN not in around.pairs


async def test_a_certificate_that_is_not_for_the_host_is_not_stored(
    on_cluster: ListenerManager, around: Around
) -> None:
    with pytest.raises(CertificateError, match="not for 'scoring.example.org'") as caught:
        await on_cluster.store(with_tls(on_cluster, secret()), *pem_pair("other.example.org"))
    assert "PRIVATE" not in caught.value.message
    assert OWN not in around.pairs


async def test_a_certificate_is_not_stored_with_settings_that_are_refused(
    on_cluster: ListenerManager, around: Around
) -> None:
    elsewhere = with_tls(on_cluster, secret()).model_copy(update={"address": "127.0.0.1"})
    with pytest.raises(InvalidSpecError, match="address of the router is that of its Service"):
        await on_cluster.store(elsewhere, *pem_pair("scoring.example.org"))
    with pytest.raises(InvalidSpecError, match="name no Secret"):
        await on_cluster.store(with_tls(on_cluster, LEAF), *pem_pair("scoring.example.org"))
    assert OWN not in around.pairs


def test_on_a_cluster_files_and_other_addresses_are_refused_and_secrets_read(
    on_cluster: ListenerManager, tmp_path: Path
) -> None:
    files = Files(tmp_path / "pki", "scoring.example.org")
    own = CertificateFiles(host="scoring.example.org", certificate_file=str(files.certificate), key_file=str(files.key))
    with pytest.raises(CertificateError, match="operator of a cluster cannot read"):
        on_cluster.check(with_tls(on_cluster, RouterTls(files=own)))
    with pytest.raises(InvalidSpecError, match="'127.0.0.1': on a cluster"):
        on_cluster.check(on_cluster.spec.model_copy(update={"address": "127.0.0.1"}))
    with pytest.raises(CertificateError, match="no Secret 'missing'"):
        on_cluster.check(with_tls(on_cluster, secret("missing")))
    with pytest.raises(CertificateError, match="not for 'localhost'"):
        on_cluster.check(with_tls(on_cluster, secret(host="localhost")))
    on_cluster.check(with_tls(on_cluster, secret()))


async def test_a_machine_has_no_secrets(tmp_path: Path) -> None:
    here = manager(tmp_path, None)
    with pytest.raises(CertificateError, match="this machine has no Secret 'scoring-tls'"):
        here.check(with_tls(here, secret()))
    with pytest.raises(InvalidSpecError, match="name no Secret of a cluster"):
        await here.store(with_tls(here, secret()), *pem_pair("scoring.example.org"))


def test_a_client_trusts_the_authority_for_signed_certificates_only(
    on_cluster: ListenerManager, around: Around
) -> None:
    on_cluster.put(with_tls(on_cluster, LEAF))
    authority = on_cluster.authority.certificate()
    assert on_cluster.trusted().startswith(authority)
    on_cluster.put(with_tls(on_cluster, secret()))
    assert on_cluster.trusted() == around.pairs[OTHER][0]
    checked(*around.pairs[OTHER], "scoring.example.org", datetime.now(UTC))


def endpoint(tls: EndpointTls | None) -> EndpointSpec:
    code = CodeReference(digest=f"sha256:{'0' * 64}", entry_script="score.py")
    return EndpointSpec(name="iris", tls=tls, versions={"one": VersionSpec(code=code)}, default_version="one")


async def test_each_certificate_of_an_endpoint_is_stored_beside_the_earlier_one_until_that_is_unused(
    tmp_path: Path, around: Around, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_cluster = manager(tmp_path, around)
    sent = endpoint(EndpointTls(host="scoring.example.org", secret="any"))
    first = await on_cluster.store_own(sent, *pem_pair("scoring.example.org"))
    second = await on_cluster.store_own(sent, *pem_pair("scoring.example.org"))
    assert first.tls is not None and second.tls is not None
    assert len({first.tls.secret, second.tls.secret}) == 2
    on_cluster.admit(second)
    on_cluster = manager(tmp_path, around, second)
    await on_cluster.forget_unused_of_endpoints()
    assert first.tls.secret in around.pairs, "a change may still be taken back"
    monkeypatch.setattr(listener_manager, "_KEPT_SECONDS", -1)
    await on_cluster.forget_unused_of_endpoints()
    assert set(around.pairs) == {OTHER, second.tls.secret}
    pairs = on_cluster.listening().pairs
    assert pairs["iris"].certificate == around.pairs[str(second.tls.secret)][0]


def test_where_tls_ends_before_the_routers_it_is_not_turned_on_at_them(
    on_cluster: ListenerManager, around: Around
) -> None:
    assert on_cluster.way_problem() is None
    around.is_published, around.way, around.trusted = True, "the Ingress has no address.", ["certificate of it"]
    assert on_cluster.trusted() == "certificate of it"
    problem = on_cluster.way_problem()
    assert problem is not None
    assert (problem.code, problem.message) == ("NotPublished", "the Ingress has no address.")
    with pytest.raises(InvalidSpecError, match="--tls-secret"):
        on_cluster.check(with_tls(on_cluster, LEAF))


async def test_a_certificate_that_does_not_fit_its_endpoint_is_not_stored(
    on_cluster: ListenerManager, around: Around
) -> None:
    before = set(around.pairs)
    sent = endpoint(EndpointTls(host="other.example.org", secret="any"))
    with pytest.raises(CertificateError, match=r"other\.example\.org"):
        await on_cluster.store_own(sent, *pem_pair("scoring.example.org"))
    with pytest.raises(InvalidSpecError, match=r"has no tls\.host"):
        await on_cluster.store_own(endpoint(None), *pem_pair("scoring.example.org"))
    assert set(around.pairs) == before


def test_on_a_cluster_an_endpoint_names_a_secret_and_on_a_machine_files(
    on_cluster: ListenerManager, tmp_path: Path
) -> None:
    files = Files(tmp_path / "pki", "scoring.example.org")
    paths = {"certificate_file": str(files.certificate), "key_file": str(files.key)}
    in_files = endpoint(EndpointTls(host="scoring.example.org", **paths))
    in_secret = endpoint(EndpointTls(host="scoring.example.org", secret=OTHER))
    on_cluster.admit(in_secret)
    with pytest.raises(CertificateError, match="operator of a cluster cannot read"):
        on_cluster.admit(in_files)
    here = manager(tmp_path / "here", None)
    here.admit(in_files)
    with pytest.raises(CertificateError, match="this machine has no Secret"):
        here.admit(in_secret)


def test_more_certificates_than_a_cluster_has_room_for_are_refused(
    on_cluster: ListenerManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_manager, "_MOST_ON_CLUSTER", 100)
    with pytest.raises(CertificateError, match="room for 100: let endpoints share"):
        on_cluster.admit(endpoint(EndpointTls(host="scoring.example.org", secret=OTHER)))
