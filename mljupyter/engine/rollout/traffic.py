"""Traffic weights, computed from the percentiles that a user sets (Azure ML v1: controlled rollout)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from mljupyter.spec import EndpointSpec

WHOLE = 100


@dataclass(frozen=True)
class Split:
    """The current split of requests: the weight of each version that gets any, and the default version."""

    weights: Mapping[str, int]
    default: str


def weights(percentiles: Mapping[str, int], default: str) -> dict[str, int]:
    """Return each version's weight: its percentile, and for the default version also the unclaimed rest.

    Versions without weight are left out. The weights add up to 100.

    Parameters:
        percentiles: version name to percentile, 0 to 100 each, at most 100 together.
        default: name of the default version, one of `percentiles`.

    Raises:
        ValueError: when a percentile or their sum is out of range, or the default is not among them.

    Example:
        >>> weights({"a": 20, "b": 10}, default="a")
        {'a': 90, 'b': 10}

    """
    if default not in percentiles:
        raise ValueError(f"the default version {default!r} is not one of {sorted(percentiles)}")
    if any(not 0 <= percentile <= WHOLE for percentile in percentiles.values()):
        raise ValueError(f"a percentile is outside 0 to {WHOLE}: {dict(percentiles)}")
    unassigned = WHOLE - sum(percentiles.values())
    if unassigned < 0:
        raise ValueError(f"the percentiles add up to {WHOLE - unassigned}: at most {WHOLE}")
    shares = {name: share + (unassigned if name == default else 0) for name, share in percentiles.items()}
    return {name: share for name, share in shares.items() if share}


def shares_text(spec: EndpointSpec) -> str | None:
    """Return the configured shares of several versions as text, the default version first; None for a single one.

    For example ``version-a 90 %, version-b 10 %``.
    """
    if len(spec.versions) == 1:
        return None
    shares = weights({name: each.traffic_percentile for name, each in spec.versions.items()}, spec.default_version)
    first = sorted(spec.versions, key=lambda name: (name != spec.default_version, name))
    return ", ".join(f"{name} {shares.get(name, 0)} %" for name in first)


def all_shares(spec: EndpointSpec) -> str:
    """Return the configured shares of all versions as text, also of a single one: ``version-a 100 %``."""
    return shares_text(spec) or f"{spec.default_version} {WHOLE} %"


def split(percentiles: Mapping[str, int], default: str, able: Collection[str], before: str | None = None) -> Split:
    """Return the split of requests while only some versions can answer them.

    The share of a version that cannot answer goes to the default version. If that one cannot answer either, another
    one takes its place: the previous default version, else the one with the greatest percentile.

    Parameters:
        percentiles: version name to percentile, as for `weights`.
        default: name of the default version.
        able: names of the versions that can answer. If there are none, the shares stay.
        before: name of the default version of the previous split.

    Raises:
        ValueError: in the same cases as `weights`.

    Example:
        >>> split({"a": 20, "b": 10, "c": 30}, default="a", able={"a", "b"})
        Split(weights={'a': 90, 'b': 10}, default='a')
        >>> split({"a": 5, "b": 10, "c": 0}, default="c", able={"a", "b"}, before="a")
        Split(weights={'a': 90, 'b': 10}, default='a')

    """
    shares = weights(percentiles, default)
    able = [name for name in sorted(percentiles) if name in able]
    if not able:
        return Split(shares, default)
    chosen = next((name for name in (default, before) if name in able), None)
    rest = chosen if chosen is not None else max(able, key=lambda name: percentiles[name])
    kept = {name: share for name, share in shares.items() if name in able}
    missing = WHOLE - sum(kept.values())
    if missing:
        kept[rest] = kept.get(rest, 0) + missing
    return Split(kept, rest)
