"""The extras of the package, read from the metadata that pip reads."""

from __future__ import annotations

from importlib.metadata import metadata

from packaging.requirements import Requirement

_NOT_FOR_USERS = {"all", "dev", "docs"}


def _requirements_of(extra: str) -> list[Requirement]:
    """Return the requirements that an extra adds, with those of this package's own extras that it names."""
    found = []
    for line in metadata("mljupyter").get_all("Requires-Dist") or []:
        requirement = Requirement(line)
        if requirement.marker is None or not requirement.marker.evaluate({"extra": extra}):
            continue
        if requirement.marker.evaluate({"extra": ""}):
            continue  # a requirement of the package itself
        if requirement.name == "mljupyter":
            found += [item for other in requirement.extras for item in _requirements_of(other)]
        else:
            found.append(requirement)
    return found


def test_the_extra_all_means_every_extra_but_those_for_contributors() -> None:
    extras = set(metadata("mljupyter").get_all("Provides-Extra") or []) - _NOT_FOR_USERS
    assert {"azure", "docker", "lab", "telemetry"} <= extras
    wanted = {requirement.name for extra in extras for requirement in _requirements_of(extra)}
    assert {requirement.name for requirement in _requirements_of("all")} == wanted


def test_contributors_get_all_extras() -> None:
    dev = {requirement.name for requirement in _requirements_of("dev")}
    assert {requirement.name for extra in ("all", "docs") for requirement in _requirements_of(extra)} <= dev
