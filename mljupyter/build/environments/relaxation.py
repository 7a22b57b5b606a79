"""Constraint relaxation: resolve to exact versions, loosening pins that have no release for this Python.

The policies ``strict`` and ``exact`` relax no requirement; ``exact`` only allows another Python. ``compatible`` takes
wheels only, and where that fails looks at each requirement by itself: one that has wheels for other Pythons, or that
does not exist any more, becomes ``>=`` of its version, and without a version if even that fails. One that exists as
source alone is built; if it cannot be, it is relaxed as well. A pin of inference-schema that excludes the version of
the scoring server is lifted first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, get_args

from mljupyter.build.environments.definition import redacted
from mljupyter.build.environments.requirements import INFERENCE_SCHEMA, Change, WantedPackage, name_of
from mljupyter.build.environments.resolver import Resolution, Resolver
from mljupyter.build.failures import MissingPinError
from mljupyter.errors import MLJupyterError

Policy = Literal["strict", "exact", "compatible"]
_OTHER_PYTHONS = ("3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
_AT_ONCE = 4
_MOST_VERSIONS = 6
_INFERENCE_SCHEMA_VERSION = "1.8"
_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+\s*(?:\[[^\]]*\])?)\s*\(?(?P<version>[<>=!~][^;)]*)\)?\s*(?P<marker>;.*)?")
_LOWER_BOUND = re.compile(r"(?:===?|~=|>=)\s*(?P<number>[^,\s*]+?)(?:\.\*)?\s*(?:,|$)")


@dataclass(frozen=True)
class ExactVersions:
    """Requirements with exact versions, whether wheels suffice, and the changes that were necessary."""

    lines: list[str]
    wheels_only: bool
    changes: list[Change]


@dataclass
class _Package:
    """A requirement during relaxation: its current text and the changes so far."""

    wanted: WantedPackage
    line: str
    change: Change | None = None
    from_source: bool = False
    left_out: bool = False

    def relax(self, line: str, reason: str) -> None:
        self.line = line
        self.change = Change(self.wanted.conda or self.wanted.line, line, reason)


def check_policy(policy: str) -> None:
    """Raise `MLJupyterError` for an unknown policy."""
    if policy not in get_args(Policy):
        raise MLJupyterError(f"The policy for pins is {policy!r}. Use {', '.join(get_args(Policy))}.")


def exact_versions(packages: Sequence[WantedPackage], resolver: Resolver, policy: Policy) -> ExactVersions:
    """Return exact versions for requirements, relaxed as far as the policy allows and as is needed.

    Raises:
        EnvironmentBuildError: when no versions satisfy the requirements.

    """
    states = [_Package(package, package.line) for package in packages]
    if policy == "compatible":
        for state in states:
            _lift(state)
    lines = [state.line for state in states]
    first = resolver.resolve(lines, wheels_only=policy == "compatible")
    if first.succeeded:
        return _result(first, _changes(states))
    if policy != "compatible":
        needed = [package.line for package in packages if not package.optional]
        again = resolver.resolve(needed, wheels_only=False) if len(needed) < len(lines) else first
        if not again.succeeded:
            raise _missing_pin(needed, resolver) or resolver.refusal(again)
        return _result(again, [_left_out(package, resolver) for package in packages if package.optional])
    _each(states, lambda state: _relax_alone(state, resolver))
    result = _together(states, resolver)
    return _result(result, _changes(states))


def _missing_pin(lines: Sequence[str], resolver: Resolver) -> MissingPinError | None:
    """Return the error for requirements of versions that their packages do not have; None if there are none.

    A package that the index does not have at all is none of them: another installer may reach another index.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = pool.map(lambda line: resolver.resolve([line], wheels_only=False).succeeded, lines)
        missing = [line for line, exists in zip(lines, found, strict=True) if not exists and looser(line)]
    available = {line: versions for line in missing if (versions := _available(line, resolver))}
    if not available:
        return None
    sentences = [
        f"{redacted(line)} does not exist for Python {resolver.python.minor}. Available are {', '.join(versions)}."
        + (f" The nearest is {nearest}." if (nearest := _nearest(line, resolver)) not in (None, *versions) else "")
        for line, versions in available.items()
    ]
    remedy = (
        "Write a version that exists, or leave the version out. To let mljupyter choose another one: --pins "
        "compatible,\nin Python environment.python.pins = 'compatible'."
    )
    return MissingPinError("\n".join([*sentences, remedy]))


def _available(line: str, resolver: Resolver) -> list[str]:
    """Return the newest versions of the package of a requirement, the newest first."""
    name, bound = looser(line)[-1].partition(";")[0].strip(), ""
    found: list[str] = []
    while len(found) < _MOST_VERSIONS:
        version = _newest(name, bound, resolver)
        if version is None:
            return found
        found.append(version)
        bound = f"<{version}"
    return [*found, "and earlier versions"]


def _nearest(line: str, resolver: Resolver) -> str | None:
    """Return the version of a package next below the one that a requirement names; None if there is none."""
    name, match = looser(line)[-1].partition(";")[0].strip(), _REQUIREMENT.fullmatch(line.strip())
    bound = _LOWER_BOUND.search(match["version"]) if match is not None else None
    return _newest(name, f"<{bound['number']}", resolver) if bound is not None else None


def _newest(name: str, bound: str, resolver: Resolver) -> str | None:
    answer = resolver.resolve([f"{name}{bound}"], wheels_only=False)
    exact = next((one for one in answer.lines or () if name_of(one) == name_of(name)), None)
    return (exact.partition("==")[2].split(";")[0].strip() or None) if exact is not None else None


def looser(line: str) -> list[str]:
    """Return weaker forms of a requirement, the strongest first; none without a version, for a path, or for a URL.

    >>> looser("numpy==1.23"), looser("pandas[excel]~=1.5 ; os_name != 'nt'"), looser("six")
    (['numpy>=1.23', 'numpy'], ["pandas[excel]>=1.5 ; os_name != 'nt'", "pandas[excel] ; os_name != 'nt'"], [])
    """
    match = _REQUIREMENT.fullmatch(line.strip())
    if match is None:
        return []
    name, marker = match["name"].strip(), f" {match['marker']}" if match["marker"] else ""
    bound = _LOWER_BOUND.search(match["version"])
    at_least = [f"{name}>={bound['number']}{marker}"] if bound else []
    return [form for form in (*at_least, f"{name}{marker}") if form != line.strip()]


def lifted(line: str) -> str | None:
    """Return a requirement of inference-schema that admits the version of the scoring server; None for all others.

    >>> lifted("inference-schema[numpy-support]==1.1.0"), lifted("inference-schema>=1.3"), lifted("numpy==1.23")
    ('inference-schema[numpy-support]>=1.8', None, None)
    """
    match = _REQUIREMENT.fullmatch(line.strip())
    if match is None or name_of(line) != INFERENCE_SCHEMA:
        return None
    from packaging.specifiers import InvalidSpecifier, SpecifierSet  # only for this package

    try:
        if SpecifierSet(match["version"].strip()).contains(_INFERENCE_SCHEMA_VERSION):
            return None
    except InvalidSpecifier:
        return None
    marker = f" {match['marker']}" if match["marker"] else ""
    return f"{match['name'].strip()}>={_INFERENCE_SCHEMA_VERSION}{marker}"


def _lift(state: _Package) -> None:
    line = lifted(state.line)
    if line is not None:
        state.relax(line, f"the scoring server works with {INFERENCE_SCHEMA} {_INFERENCE_SCHEMA_VERSION} and later")


def _changes(states: Sequence[_Package]) -> list[Change]:
    return [state.change for state in states if state.change is not None]


def _relax_alone(state: _Package, resolver: Resolver) -> None:
    """Relax a requirement until it can be satisfied by itself.

    Raises `EnvironmentBuildError` when no form of it can be satisfied.
    """
    wanted = state.line
    alone = resolver.resolve([wanted], wheels_only=True)
    if alone.succeeded:
        return
    forms = looser(wanted)
    elsewhere = _pythons_with_wheels(wanted, resolver) if forms else []
    source = alone if elsewhere else resolver.resolve([wanted], wheels_only=False)
    if source.succeeded and (not forms or resolver.builds(wanted)):
        state.from_source = True
        return
    reason = _reason(elsewhere, source, resolver)
    for form in forms:
        if resolver.resolve([form], wheels_only=True).succeeded:
            state.relax(form, reason)
            return
    if forms and resolver.resolve([forms[-1]], wheels_only=False).succeeded:
        state.from_source = True
        state.relax(forms[-1], reason)
        return
    if not state.wanted.optional:
        raise resolver.refusal(source)
    state.left_out = True
    state.change = _left_out(state.wanted, resolver)


def _together(states: list[_Package], resolver: Resolver) -> Resolution:
    """Resolve all requirements together. Where pins exclude each other on this Python, loosen as few as possible."""

    def attempt() -> Resolution:
        lines = [state.line for state in states if not state.left_out]
        return resolver.resolve(lines, wheels_only=not any(state.from_source for state in states))

    first = result = attempt()
    if result.succeeded:
        return result
    if not any(state.change for state in states):
        # Each can be satisfied alone, but not all together: the request has a conflict, or a common dependency has
        # no wheels.
        result = resolver.resolve([state.line for state in states], wheels_only=False)
        if result.succeeded:
            return result
        raise resolver.refusal(result)
    reason = f"excludes another package on Python {resolver.python.minor}"
    pinned = [state for state in states if not state.left_out and looser(state.line)]
    for state in pinned:
        before = state.line, state.change
        state.relax(looser(state.line)[0], reason)
        if (result := attempt()).succeeded:
            return result
        state.line, state.change = before
    for _ in range(2):  # all at once: first to lower bounds, then to none
        for state in pinned:
            if forms := looser(state.line):
                state.relax(forms[0], reason)
        if (result := attempt()).succeeded:
            return result
    raise resolver.refusal(first)


def _pythons_with_wheels(line: str, resolver: Resolver) -> list[str]:
    others = [version for version in _OTHER_PYTHONS if version != resolver.python.minor]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = pool.map(
            lambda version: resolver.resolve([line], wheels_only=True, for_python=version).succeeded, others
        )
        return [version for version, there in zip(others, found, strict=True) if there]


def _reason(elsewhere: list[str], resolution: Resolution, resolver: Resolver) -> str:
    python = resolver.python.minor
    if elsewhere:
        return f"not made for Python {python}, but for {', '.join(elsewhere)}"
    text = "\n".join(resolution.finished.lines).lower()
    if resolution.succeeded or "failed to build" in text:
        return f"there only as source, which cannot be built {resolver.place_of_builds}"
    return f"not there for Python {python}"


def _left_out(package: WantedPackage, resolver: Resolver) -> Change:
    return Change(package.line, None, f"not there for Python {resolver.python.minor}, and optional", "replaced")


def _result(resolution: Resolution, changes: Sequence[Change]) -> ExactVersions:
    assert resolution.lines is not None  # noqa: S101 (for the type checker: it succeeded)
    return ExactVersions(resolution.lines, resolution.wheels_only, list(changes))


def _each(states: Sequence[_Package], work: Callable[[_Package], None]) -> None:
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for future in [pool.submit(work, state) for state in states]:
            future.result()
