"""The entry of a history that a rollback restores."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mljupyter.engine.rollout.rules import rollback_target
from mljupyter.spec import CodeReference, EndpointSpec, EndpointTls, VersionSpec
from mljupyter.spec.history import HistoryEntry

PLAIN = EndpointSpec(
    name="iris",
    versions={"one": VersionSpec(code=CodeReference(digest=f"sha256:{'0' * 64}", entry_script="score.py"))},
    default_version="one",
)


def secure(secret: str, *, host: str = "ml.example.org", about: str | None = None) -> EndpointSpec:
    tls = EndpointTls(host=host, secret=secret)
    return PLAIN.model_copy(update={"tls": tls, "description": about})


def entries(*specs: EndpointSpec) -> list[HistoryEntry]:
    now = datetime.now(UTC)
    return [HistoryEntry(number=number, time=now, user="", action="", spec=spec) for number, spec in enumerate(specs)]


def test_a_rollback_keeps_the_present_certificate_since_the_earlier_one_is_deleted() -> None:
    history = entries(secure("first", about="old"), secure("first", about="new"), secure("second", about="new"))
    found = rollback_target(history, history[-1].spec)
    assert found is not None
    assert (found.number, found.spec.description) == (0, "old"), "a rotation alone is no state to go back to"
    assert found.spec.tls == history[-1].spec.tls


@pytest.mark.parametrize(
    ("earlier", "present"),
    [
        (secure("first"), PLAIN),
        (PLAIN, secure("first")),
        (secure("first", host="old.example.org"), secure("second")),
    ],
)
def test_tls_itself_and_its_host_are_restored(earlier: EndpointSpec, present: EndpointSpec) -> None:
    found = rollback_target(entries(earlier, present), present)
    assert found is not None
    assert found.spec == earlier
