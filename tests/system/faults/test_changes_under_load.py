"""Whatever is changed under the steady load of twenty clients, none of them fails."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest

from mljupyter.spec import Authentication, CertificateFiles, EndpointSpec, EndpointState, RouterSpec, RouterTls
from tests.fault_table import Fault
from tests.steady_load import REQUESTS_ON, SteadyLoad
from tests.system.certificates import Files
from tests.system.conftest import Machine
from tests.system.targets import Target
from tests.system.test_tls import fresh, served
from tests.system.test_versions import ONE_TARGET, WHO, answers, changed, endpoint, version, without
from tests.waiting import promised, wait_until

pytestmark = pytest.mark.system
SHARES_MACHINE = True
OTHER = WHO.replace('os.environ["WHO"]', '"other " + os.environ["WHO"]')


def put(machine: Machine, spec: EndpointSpec) -> EndpointSpec:
    """Change an endpoint and wait until it is as wanted."""
    settled = machine.settle(machine.client.replace(spec))
    assert settled.status.state is EndpointState.HEALTHY, settled.status.problem
    return settled.spec


@pytest.mark.faults(0, "update of code, then of variables")
def test_an_update_costs_no_request(machine: Machine, target: Target, fault: Fault) -> None:
    spec = changed(endpoint(target, {"aaa": 0}), "aaa", scaling={"replicas": 2})
    uri = str(machine.healthy(spec).status.scoring_uri)
    with SteadyLoad(uri, requests=REQUESTS_ON[target.name]) as load:
        fault.under(load)
        load.runs()
        began = time.monotonic()
        spec = put(machine, changed(spec, "aaa", **target.runs(OTHER)))
        fault.recovered(time.monotonic() - began)
        assert set(answers(uri, 20)) == {"other aaa"}
        put(machine, changed(spec, "aaa", environmentVariables={"WHO": "new"}))
        assert set(answers(uri, 20)) == {"other new"}
    assert load.failed == 0, load.results
    wait_until(lambda: len(target.replicas()) == 2, "the old replicas have left")


@pytest.mark.faults(0, "percentiles changed, ten times")
@ONE_TARGET
def test_a_change_of_traffic_costs_no_request(machine: Machine, target: Target, fault: Fault) -> None:
    spec = endpoint(target, {"aaa": 0, "bbb": 0})
    uri = str(machine.healthy(spec).status.scoring_uri)
    with SteadyLoad(uri, requests=REQUESTS_ON[target.name]) as load:
        fault.under(load)
        for step in range(10):
            load.runs()
            began = time.monotonic()
            spec = put(machine, changed(spec, "bbb", trafficPercentile=100 if step % 2 == 0 else 10 * step))
            fault.recovered(time.monotonic() - began)
            if step % 2 == 0:
                assert set(answers(uri, 20)) == {"bbb"}
    assert load.failed == 0, load.results


@pytest.mark.faults(0, "version added and deleted, three times")
def test_a_version_that_comes_and_goes_costs_no_request(machine: Machine, target: Target, fault: Fault) -> None:
    spec = endpoint(target, {"aaa": 0})
    bbb = version("bbb", target.runs(WHO), trafficPercentile=50)
    uri = str(machine.healthy(spec).status.scoring_uri)
    with SteadyLoad(uri, requests=REQUESTS_ON[target.name]) as load:
        fault.under(load)
        for _ in range(3):
            began = time.monotonic()
            put(machine, changed(spec, "bbb", **bbb))
            fault.recovered(time.monotonic() - began)
            assert set(answers(uri, 40)) == {"aaa", "bbb"}
            put(machine, without(changed(spec, "bbb", **bbb), "bbb"))
            load.runs()
    assert load.failed == 0, load.results
    assert set(answers(uri, 40)) == {"aaa"}


@pytest.mark.faults(0, "scaled from 3 replicas to 1, twice")
def test_scaling_down_costs_no_request(machine: Machine, target: Target, fault: Fault) -> None:
    spec = changed(endpoint(target, {"aaa": 0}), "aaa", scaling={"replicas": 3})
    uri = str(machine.healthy(spec).status.scoring_uri)
    with SteadyLoad(uri, requests=REQUESTS_ON[target.name]) as load:
        fault.under(load)
        for count in (1, 3, 1):
            load.runs()
            began = time.monotonic()
            put(machine, changed(spec, "aaa", scaling={"replicas": count}))
            wait_until(lambda count=count: len(target.replicas()) == count, f"{count} replicas")
            fault.recovered(time.monotonic() - began)
    assert load.failed == 0, load.results


@pytest.mark.faults(15, "keys regenerated while the other one is used")
def test_after_regenerating_a_key_the_other_key_works_and_the_old_one_is_refused_at_once(
    machine: Machine, fault: Fault
) -> None:
    spec = machine.spec(authentication=Authentication.KEY, limits={"maxConcurrentRequests": 16})
    uri = str(machine.healthy(spec).status.scoring_uri)
    primary, replaced = machine.client.keys("echo")
    took = []
    with SteadyLoad(uri, key=primary) as load, httpx.Client() as kept:
        fault.under(load)
        for _ in range(10):
            load.runs()
            assert kept.post(uri, headers={"authorization": f"Bearer {replaced}"}).status_code == 200
            began = time.monotonic()
            machine.client.regenerate_key("echo", "secondary")
            refused = kept.post(uri, headers={"authorization": f"Bearer {replaced}"})
            took.append(time.monotonic() - began)
            assert refused.status_code == 401
            replaced = machine.client.keys("echo")[1]
    assert load.failed == 0, load.results
    fault.recovered(min(took), "until refused")
    assert min(took) < promised(0.1)


@pytest.mark.faults(17, "certificate and key swapped, five times")
def test_a_swap_of_the_certificate_costs_no_request(machine: Machine, tmp_path: Path, fault: Fault) -> None:
    files = Files(tmp_path / "pki", "localhost")
    record = machine.healthy(machine.spec(limits={"maxConcurrentRequests": 16}))
    tls = CertificateFiles(host="localhost", certificate_file=str(files.certificate), key_file=str(files.key))
    port = machine.client.put_router(RouterSpec(tls=RouterTls(files=tls))).port
    uri = str(fresh(machine, record, "https").status.scoring_uri)
    with SteadyLoad(uri, one_shot=1) as load:
        fault.under(load)
        for _ in range(5):
            load.runs()
            before, began = served(port), time.monotonic()
            files.renew()
            wait_until(lambda before=before: served(port) != before, "the new certificate is served")
            fault.recovered(time.monotonic() - began, "until served")
    assert load.failed == 0, load.results
